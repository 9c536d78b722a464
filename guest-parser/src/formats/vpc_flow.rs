//! Flow log of a VPC or a transit gateway, as text (AWS: "Logging IP traffic using VPC Flow Logs").
//!
//! The first line of each file names its columns, in an order that whoever has set up the flow log has chosen; an object may
//! be several files, one behind the other. The version of a record does not fix its columns. A name that is not known here
//! becomes a field by itself.

use elbow_guest::Reject;
use elbow_guest::scan::{Span, Syntax};

use crate::source::Source::{Choice, Columns, EpochSeconds, Flag, Number, Text, Transport};
use crate::table::{Encoding, Header, Output, Table, field, since};
use crate::values::{Slot, Values};

/// The format.
pub const TABLE: Table = Table {
    what: "a VPC flow log",
    summary: "flow log of a VPC or a transit gateway",
    syntax: Syntax::SPACES,
    encoding: Encoding::Plain,
    header: Header::FirstLine,
    columns: &COLUMNS,
    min_columns: 1,
    fields: FIELDS,
    parts,
    has_zones: true,
    category: "network",
    ecs_prefix: "aws.vpcflow",
    original: None,
};

const COLUMNS: [&str; 72] = [
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
    "vpc-id",
    "subnet-id",
    "instance-id",
    "tcp-flags",
    "type",
    "pkt-srcaddr",
    "pkt-dstaddr",
    "region",
    "az-id",
    "sublocation-type",
    "sublocation-id",
    "pkt-src-aws-service",
    "pkt-dst-aws-service",
    "flow-direction",
    "traffic-path",
    "resource-type",
    "tgw-id",
    "tgw-attachment-id",
    "tgw-src-vpc-account-id",
    "tgw-dst-vpc-account-id",
    "tgw-src-vpc-id",
    "tgw-dst-vpc-id",
    "tgw-src-subnet-id",
    "tgw-dst-subnet-id",
    "tgw-src-eni",
    "tgw-dst-eni",
    "tgw-src-az-id",
    "tgw-dst-az-id",
    "tgw-pair-attachment-id",
    "packets-lost-no-route",
    "packets-lost-blackhole",
    "packets-lost-mtu-exceeded",
    "packets-lost-ttl-expired",
    "ecs-cluster-arn",
    "ecs-cluster-name",
    "ecs-container-instance-arn",
    "ecs-container-instance-id",
    "ecs-container-id",
    "ecs-second-container-id",
    "ecs-service-name",
    "ecs-task-definition-arn",
    "ecs-task-arn",
    "ecs-task-id",
    "reject-reason",
    "resource-id",
    "encryption-status",
    "instance-tag",
    "instance-tag-2",
    "interface-tag",
    "interface-tag-2",
    "asg-tag",
    "asg-tag-2",
    "interface-type",
    "next-hop-interface-id",
    "next-hop-subnet-id",
    "next-hop-az-id",
    "next-hop-vpc-id",
    "next-hop-interface-type",
];

const VERSION: Slot = Slot::column(0);
const ACCOUNT_ID: Slot = Slot::column(1);
const INTERFACE_ID: Slot = Slot::column(2);
const SRCADDR: Slot = Slot::column(3);
const DSTADDR: Slot = Slot::column(4);
const SRCPORT: Slot = Slot::column(5);
const DSTPORT: Slot = Slot::column(6);
const PROTOCOL: Slot = Slot::column(7);
const PACKETS: Slot = Slot::column(8);
const BYTES: Slot = Slot::column(9);
const START: Slot = Slot::column(10);
const END: Slot = Slot::column(11);
const ACTION: Slot = Slot::column(12);
const LOG_STATUS: Slot = Slot::column(13);
const VPC_ID: Slot = Slot::column(14);
const SUBNET_ID: Slot = Slot::column(15);
const INSTANCE_ID: Slot = Slot::column(16);
const TCP_FLAGS: Slot = Slot::column(17);
const TYPE_: Slot = Slot::column(18);
const PKT_SRCADDR: Slot = Slot::column(19);
const PKT_DSTADDR: Slot = Slot::column(20);
const REGION: Slot = Slot::column(21);
const AZ_ID: Slot = Slot::column(22);
const SUBLOCATION_TYPE: Slot = Slot::column(23);
const SUBLOCATION_ID: Slot = Slot::column(24);
const PKT_SRC_AWS_SERVICE: Slot = Slot::column(25);
const PKT_DST_AWS_SERVICE: Slot = Slot::column(26);
const FLOW_DIRECTION: Slot = Slot::column(27);
const TRAFFIC_PATH: Slot = Slot::column(28);
const RESOURCE_TYPE: Slot = Slot::column(29);
const TGW_ID: Slot = Slot::column(30);
const TGW_ATTACHMENT_ID: Slot = Slot::column(31);
const TGW_SRC_VPC_ACCOUNT_ID: Slot = Slot::column(32);
const TGW_DST_VPC_ACCOUNT_ID: Slot = Slot::column(33);
const TGW_SRC_VPC_ID: Slot = Slot::column(34);
const TGW_DST_VPC_ID: Slot = Slot::column(35);
const TGW_SRC_SUBNET_ID: Slot = Slot::column(36);
const TGW_DST_SUBNET_ID: Slot = Slot::column(37);
const TGW_SRC_ENI: Slot = Slot::column(38);
const TGW_DST_ENI: Slot = Slot::column(39);
const TGW_SRC_AZ_ID: Slot = Slot::column(40);
const TGW_DST_AZ_ID: Slot = Slot::column(41);
const TGW_PAIR_ATTACHMENT_ID: Slot = Slot::column(42);
const PACKETS_LOST_NO_ROUTE: Slot = Slot::column(43);
const PACKETS_LOST_BLACKHOLE: Slot = Slot::column(44);
const PACKETS_LOST_MTU_EXCEEDED: Slot = Slot::column(45);
const PACKETS_LOST_TTL_EXPIRED: Slot = Slot::column(46);
const ECS_CLUSTER_ARN: Slot = Slot::column(47);
const ECS_CLUSTER_NAME: Slot = Slot::column(48);
const ECS_CONTAINER_INSTANCE_ARN: Slot = Slot::column(49);
const ECS_CONTAINER_INSTANCE_ID: Slot = Slot::column(50);
const ECS_CONTAINER_ID: Slot = Slot::column(51);
const ECS_SECOND_CONTAINER_ID: Slot = Slot::column(52);
const ECS_SERVICE_NAME: Slot = Slot::column(53);
const ECS_TASK_DEFINITION_ARN: Slot = Slot::column(54);
const ECS_TASK_ARN: Slot = Slot::column(55);
const ECS_TASK_ID: Slot = Slot::column(56);
const REJECT_REASON: Slot = Slot::column(57);
const RESOURCE_ID: Slot = Slot::column(58);
const ENCRYPTION_STATUS: Slot = Slot::column(59);
const INSTANCE_TAG: Slot = Slot::column(60);
const INSTANCE_TAG_2: Slot = Slot::column(61);
const INTERFACE_TAG: Slot = Slot::column(62);
const INTERFACE_TAG_2: Slot = Slot::column(63);
const ASG_TAG: Slot = Slot::column(64);
const ASG_TAG_2: Slot = Slot::column(65);
const INTERFACE_TYPE: Slot = Slot::column(66);
const NEXT_HOP_INTERFACE_ID: Slot = Slot::column(67);
const NEXT_HOP_SUBNET_ID: Slot = Slot::column(68);
const NEXT_HOP_AZ_ID: Slot = Slot::column(69);
const NEXT_HOP_VPC_ID: Slot = Slot::column(70);
const NEXT_HOP_INTERFACE_TYPE: Slot = Slot::column(71);

/// When the record begins, or else ends.
const FIRST_TIME: Slot = Slot::OWN[0];
/// The ports, where the protocol has any.
const SOURCE_PORT: Slot = Slot::OWN[1];
const DESTINATION_PORT: Slot = Slot::OWN[2];

fn parts(batch: &[u8], values: &mut Values) -> Result<(), Reject> {
    let start = values.get(START);
    values.set(FIRST_TIME, if start.is_none() { values.get(END) } else { start });
    // TCP, UDP, DCCP, SCTP and UDP-Lite, by IANA's numbers.
    let protocol = values.get(PROTOCOL);
    let has_ports = protocol.is_none() || matches!(protocol.of(batch), b"6" | b"17" | b"33" | b"132" | b"136");
    for (port, slot) in [(SRCPORT, SOURCE_PORT), (DSTPORT, DESTINATION_PORT)] {
        values.set(slot, if has_ports { values.get(port) } else { Span::NONE });
    }
    Ok(())
}

/// The fields of the output, in their order.
#[rustfmt::skip]
const FIELDS: &[Output] = &[
    field(EpochSeconds(FIRST_TIME), "@timestamp", &["@timestamp"], "when the first packet was received; if that is not said, the last"),
    field(EpochSeconds(START), "", &["event.start"], "when the first packet was received"),
    field(EpochSeconds(END), "", &["event.end"], "when the last packet was received"),
    field(Number(VERSION), "version", &["aws.vpcflow.version"], "version of the record: the highest of the generations of its columns"),
    field(Text(ACCOUNT_ID), "account_id", &["aws.vpcflow.account_id", "cloud.account.id"], "account of the source network interface; text, for its leading zeros"),
    field(Text(INTERFACE_ID), "interface_id", &["aws.vpcflow.interface_id"], "network interface"),
    field(Text(SRCADDR), "srcaddr", &["aws.vpcflow.srcaddr", "source.address", "source.ip"], "source address"),
    field(Text(DSTADDR), "dstaddr", &["aws.vpcflow.dstaddr", "destination.address", "destination.ip"], "destination address"),
    field(Number(SRCPORT), "srcport", &["aws.vpcflow.srcport"], "source port; 0 where the protocol has no ports"),
    field(Number(SOURCE_PORT), "", &["source.port"], "source port, where the protocol has ports"),
    field(Number(DSTPORT), "dstport", &["aws.vpcflow.dstport"], "destination port; 0 where the protocol has no ports"),
    field(Number(DESTINATION_PORT), "", &["destination.port"], "destination port, where the protocol has ports"),
    field(Number(PROTOCOL), "protocol", &["aws.vpcflow.protocol", "network.iana_number"], "IANA number of the protocol"),
    field(Number(PACKETS), "packets", &["aws.vpcflow.packets", "network.packets", "source.packets"], "packets in the interval"),
    field(Number(BYTES), "bytes", &["aws.vpcflow.bytes", "network.bytes", "source.bytes"], "bytes in the interval"),
    field(Number(START), "start", &["aws.vpcflow.start"], "when the first packet was received, in seconds since 1970"),
    field(Number(END), "end", &["aws.vpcflow.end"], "when the last packet was received, in seconds since 1970"),
    field(Text(ACTION), "action", &["aws.vpcflow.action"], "`ACCEPT` or `REJECT`"),
    field(Text(LOG_STATUS), "log_status", &["aws.vpcflow.log_status"], "`OK`, `NODATA` or `SKIPDATA`"),
    since("version 3", Text(VPC_ID), "vpc_id", &["aws.vpcflow.vpc_id"], "the column `vpc-id` of AWS"),
    since("version 3", Text(SUBNET_ID), "subnet_id", &["aws.vpcflow.subnet_id"], "the column `subnet-id` of AWS"),
    since("version 3", Text(INSTANCE_ID), "instance_id", &["aws.vpcflow.instance_id", "cloud.instance.id"], "the column `instance-id` of AWS"),
    since("version 3", Number(TCP_FLAGS), "tcp_flags", &["aws.vpcflow.tcp_flags"], "bits of the TCP flags: 1 FIN, 2 SYN, 4 RST, 16 ACK"),
    since("version 3", Text(TYPE_), "type", &["aws.vpcflow.type"], "`IPv4`, `IPv6` or `EFA`"),
    since("version 3", Text(PKT_SRCADDR), "pkt_srcaddr", &["aws.vpcflow.pkt_srcaddr"], "source address of the packet itself"),
    since("version 3", Text(PKT_DSTADDR), "pkt_dstaddr", &["aws.vpcflow.pkt_dstaddr"], "destination address of the packet itself"),
    since("version 4", Text(REGION), "region", &["aws.vpcflow.region", "cloud.region"], "the column `region` of AWS"),
    since("version 4", Text(AZ_ID), "az_id", &["aws.vpcflow.az_id", "cloud.availability_zone"], "the column `az-id` of AWS"),
    since("version 4", Text(SUBLOCATION_TYPE), "sublocation_type", &["aws.vpcflow.sublocation_type"], "the column `sublocation-type` of AWS"),
    since("version 4", Text(SUBLOCATION_ID), "sublocation_id", &["aws.vpcflow.sublocation_id"], "the column `sublocation-id` of AWS"),
    since("version 5", Text(PKT_SRC_AWS_SERVICE), "pkt_src_aws_service", &["aws.vpcflow.pkt_src_aws_service"], "the column `pkt-src-aws-service` of AWS"),
    since("version 5", Text(PKT_DST_AWS_SERVICE), "pkt_dst_aws_service", &["aws.vpcflow.pkt_dst_aws_service"], "the column `pkt-dst-aws-service` of AWS"),
    since("version 5", Text(FLOW_DIRECTION), "flow_direction", &["aws.vpcflow.flow_direction", "network.direction"], "`ingress` or `egress`"),
    since("version 5", Number(TRAFFIC_PATH), "traffic_path", &["aws.vpcflow.traffic_path"], "path of egress traffic, 1 to 8"),
    since("version 6", Text(RESOURCE_TYPE), "resource_type", &["aws.vpcflow.resource_type"], "the column `resource-type` of AWS"),
    since("version 6", Text(TGW_ID), "tgw_id", &["aws.vpcflow.tgw_id"], "the column `tgw-id` of AWS"),
    since("version 6", Text(TGW_ATTACHMENT_ID), "tgw_attachment_id", &["aws.vpcflow.tgw_attachment_id"], "the column `tgw-attachment-id` of AWS"),
    since("version 6", Text(TGW_SRC_VPC_ACCOUNT_ID), "tgw_src_vpc_account_id", &["aws.vpcflow.tgw_src_vpc_account_id"], "the column `tgw-src-vpc-account-id` of AWS"),
    since("version 6", Text(TGW_DST_VPC_ACCOUNT_ID), "tgw_dst_vpc_account_id", &["aws.vpcflow.tgw_dst_vpc_account_id"], "the column `tgw-dst-vpc-account-id` of AWS"),
    since("version 6", Text(TGW_SRC_VPC_ID), "tgw_src_vpc_id", &["aws.vpcflow.tgw_src_vpc_id"], "the column `tgw-src-vpc-id` of AWS"),
    since("version 6", Text(TGW_DST_VPC_ID), "tgw_dst_vpc_id", &["aws.vpcflow.tgw_dst_vpc_id"], "the column `tgw-dst-vpc-id` of AWS"),
    since("version 6", Text(TGW_SRC_SUBNET_ID), "tgw_src_subnet_id", &["aws.vpcflow.tgw_src_subnet_id"], "the column `tgw-src-subnet-id` of AWS"),
    since("version 6", Text(TGW_DST_SUBNET_ID), "tgw_dst_subnet_id", &["aws.vpcflow.tgw_dst_subnet_id"], "the column `tgw-dst-subnet-id` of AWS"),
    since("version 6", Text(TGW_SRC_ENI), "tgw_src_eni", &["aws.vpcflow.tgw_src_eni"], "the column `tgw-src-eni` of AWS"),
    since("version 6", Text(TGW_DST_ENI), "tgw_dst_eni", &["aws.vpcflow.tgw_dst_eni"], "the column `tgw-dst-eni` of AWS"),
    since("version 6", Text(TGW_SRC_AZ_ID), "tgw_src_az_id", &["aws.vpcflow.tgw_src_az_id"], "the column `tgw-src-az-id` of AWS"),
    since("version 6", Text(TGW_DST_AZ_ID), "tgw_dst_az_id", &["aws.vpcflow.tgw_dst_az_id"], "the column `tgw-dst-az-id` of AWS"),
    since("version 6", Text(TGW_PAIR_ATTACHMENT_ID), "tgw_pair_attachment_id", &["aws.vpcflow.tgw_pair_attachment_id"], "the column `tgw-pair-attachment-id` of AWS"),
    since("version 6", Number(PACKETS_LOST_NO_ROUTE), "packets_lost_no_route", &["aws.vpcflow.packets_lost_no_route"], "the column `packets-lost-no-route` of AWS"),
    since("version 6", Number(PACKETS_LOST_BLACKHOLE), "packets_lost_blackhole", &["aws.vpcflow.packets_lost_blackhole"], "the column `packets-lost-blackhole` of AWS"),
    since("version 6", Number(PACKETS_LOST_MTU_EXCEEDED), "packets_lost_mtu_exceeded", &["aws.vpcflow.packets_lost_mtu_exceeded"], "the column `packets-lost-mtu-exceeded` of AWS"),
    since("version 6", Number(PACKETS_LOST_TTL_EXPIRED), "packets_lost_ttl_expired", &["aws.vpcflow.packets_lost_ttl_expired"], "the column `packets-lost-ttl-expired` of AWS"),
    since("version 7", Text(ECS_CLUSTER_ARN), "ecs_cluster_arn", &["aws.vpcflow.ecs_cluster_arn"], "the column `ecs-cluster-arn` of AWS"),
    since("version 7", Text(ECS_CLUSTER_NAME), "ecs_cluster_name", &["aws.vpcflow.ecs_cluster_name"], "the column `ecs-cluster-name` of AWS"),
    since("version 7", Text(ECS_CONTAINER_INSTANCE_ARN), "ecs_container_instance_arn", &["aws.vpcflow.ecs_container_instance_arn"], "the column `ecs-container-instance-arn` of AWS"),
    since("version 7", Text(ECS_CONTAINER_INSTANCE_ID), "ecs_container_instance_id", &["aws.vpcflow.ecs_container_instance_id"], "the column `ecs-container-instance-id` of AWS"),
    since("version 7", Text(ECS_CONTAINER_ID), "ecs_container_id", &["aws.vpcflow.ecs_container_id"], "the column `ecs-container-id` of AWS"),
    since("version 7", Text(ECS_SECOND_CONTAINER_ID), "ecs_second_container_id", &["aws.vpcflow.ecs_second_container_id"], "the column `ecs-second-container-id` of AWS"),
    since("version 7", Text(ECS_SERVICE_NAME), "ecs_service_name", &["aws.vpcflow.ecs_service_name"], "the column `ecs-service-name` of AWS"),
    since("version 7", Text(ECS_TASK_DEFINITION_ARN), "ecs_task_definition_arn", &["aws.vpcflow.ecs_task_definition_arn"], "the column `ecs-task-definition-arn` of AWS"),
    since("version 7", Text(ECS_TASK_ARN), "ecs_task_arn", &["aws.vpcflow.ecs_task_arn"], "the column `ecs-task-arn` of AWS"),
    since("version 7", Text(ECS_TASK_ID), "ecs_task_id", &["aws.vpcflow.ecs_task_id"], "the column `ecs-task-id` of AWS"),
    since("version 8", Text(REJECT_REASON), "reject_reason", &["aws.vpcflow.reject_reason"], "why it was rejected, as `BPA`"),
    since("version 9", Text(RESOURCE_ID), "resource_id", &["aws.vpcflow.resource_id"], "the column `resource-id` of AWS"),
    since("version 10", Number(ENCRYPTION_STATUS), "encryption_status", &["aws.vpcflow.encryption_status"], "encryption in transit, by its number"),
    since("version 11", Text(INSTANCE_TAG), "instance_tag", &["aws.vpcflow.instance_tag"], "the column `instance-tag` of AWS"),
    since("version 11", Text(INSTANCE_TAG_2), "instance_tag_2", &["aws.vpcflow.instance_tag_2"], "the column `instance-tag-2` of AWS"),
    since("version 11", Text(INTERFACE_TAG), "interface_tag", &["aws.vpcflow.interface_tag"], "the column `interface-tag` of AWS"),
    since("version 11", Text(INTERFACE_TAG_2), "interface_tag_2", &["aws.vpcflow.interface_tag_2"], "the column `interface-tag-2` of AWS"),
    since("version 11", Text(ASG_TAG), "asg_tag", &["aws.vpcflow.asg_tag"], "the column `asg-tag` of AWS"),
    since("version 11", Text(ASG_TAG_2), "asg_tag_2", &["aws.vpcflow.asg_tag_2"], "the column `asg-tag-2` of AWS"),
    since("version 11", Text(INTERFACE_TYPE), "interface_type", &["aws.vpcflow.interface_type"], "the column `interface-type` of AWS"),
    since("version 11", Text(NEXT_HOP_INTERFACE_ID), "next_hop_interface_id", &["aws.vpcflow.next_hop_interface_id"], "the column `next-hop-interface-id` of AWS"),
    since("version 11", Text(NEXT_HOP_SUBNET_ID), "next_hop_subnet_id", &["aws.vpcflow.next_hop_subnet_id"], "the column `next-hop-subnet-id` of AWS"),
    since("version 11", Text(NEXT_HOP_AZ_ID), "next_hop_az_id", &["aws.vpcflow.next_hop_az_id"], "the column `next-hop-az-id` of AWS"),
    since("version 11", Text(NEXT_HOP_VPC_ID), "next_hop_vpc_id", &["aws.vpcflow.next_hop_vpc_id"], "the column `next-hop-vpc-id` of AWS"),
    since("version 11", Text(NEXT_HOP_INTERFACE_TYPE), "next_hop_interface_type", &["aws.vpcflow.next_hop_interface_type"], "the column `next-hop-interface-type` of AWS"),
    field(Transport(PROTOCOL), "", &["network.transport"], "name of the protocol: `tcp`, `udp`, `icmp`, `ipv6-icmp`"),
    field(Choice(TYPE_, "IPv6", "ipv6", "ipv4"), "", &["network.type"], "`ipv4` or `ipv6`"),
    field(Choice(ACTION, "ACCEPT", "success", "failure"), "", &["event.outcome"], "`success` for `ACCEPT`, else `failure`"),
    field(Flag(Slot::SHORT), "short_row", &["aws.vpcflow.short_row"], "`true` if the row has fewer columns than the header"),
    field(Columns(Slot::EXTRA), "extra_fields", &["aws.vpcflow.extra_fields"], "columns beyond those of the header"),
];
