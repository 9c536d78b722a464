//! Log files of CloudTrail (AWS: "CloudTrail record contents").
//!
//! A file is one document, `{"Records": [...]}`, usually on one line; aggregated events come as an array. Digest files, which
//! have no records, are recognised and dropped. What a service was asked and has answered is JSON whose types differ between
//! services: it is kept as text.

use elbow_guest::JsonType;
use elbow_guest::scan::Syntax;

use crate::source::Source::{Address, Json, JsonText, Members, Present, Text, Time};
use crate::table::{Encoding, Header, Output, Table, field};
use crate::values::Slot;

/// The format.
pub const TABLE: Table = Table {
    what: "a CloudTrail",
    summary: "events of CloudTrail",
    syntax: Syntax::SPACES,
    encoding: Encoding::Plain,
    header: Header::None,
    columns: &COLUMNS,
    min_columns: 0,
    fields: FIELDS,
    parts: |_, _| Ok(()),
    has_zones: true,
    category: "iam",
    ecs_prefix: "aws.cloudtrail",
    original: None,
};

/// The members that are known; of an object that is taken apart, with its name before them.
const COLUMNS: [&str; 31] = [
    "eventTime",
    "eventVersion",
    "userIdentity",
    "eventSource",
    "eventName",
    "awsRegion",
    "sourceIPAddress",
    "userAgent",
    "errorCode",
    "errorMessage",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "requestID",
    "eventID",
    "readOnly",
    "resources",
    "eventType",
    "apiVersion",
    "managementEvent",
    "recipientAccountId",
    "serviceEventDetails",
    "sharedEventID",
    "vpcEndpointId",
    "eventCategory",
    "addendum",
    "sessionCredentialFromConsole",
    "edgeDeviceDetails",
    "tlsDetails",
    "insightDetails",
    "eventContext",
];

const EVENT_TIME: Slot = Slot::column(0);
const EVENT_VERSION: Slot = Slot::column(1);
const USER_IDENTITY: Slot = Slot::column(2);
const EVENT_SOURCE: Slot = Slot::column(3);
const EVENT_NAME: Slot = Slot::column(4);
const AWS_REGION: Slot = Slot::column(5);
const SOURCE_IP_ADDRESS: Slot = Slot::column(6);
const USER_AGENT: Slot = Slot::column(7);
const ERROR_CODE: Slot = Slot::column(8);
const ERROR_MESSAGE: Slot = Slot::column(9);
const REQUEST_PARAMETERS: Slot = Slot::column(10);
const RESPONSE_ELEMENTS: Slot = Slot::column(11);
const ADDITIONAL_EVENT_DATA: Slot = Slot::column(12);
const REQUEST_ID: Slot = Slot::column(13);
const EVENT_ID: Slot = Slot::column(14);
const READ_ONLY: Slot = Slot::column(15);
const RESOURCES: Slot = Slot::column(16);
const EVENT_TYPE: Slot = Slot::column(17);
const API_VERSION: Slot = Slot::column(18);
const MANAGEMENT_EVENT: Slot = Slot::column(19);
const RECIPIENT_ACCOUNT_ID: Slot = Slot::column(20);
const SERVICE_EVENT_DETAILS: Slot = Slot::column(21);
const SHARED_EVENT_ID: Slot = Slot::column(22);
const VPC_ENDPOINT_ID: Slot = Slot::column(23);
const EVENT_CATEGORY: Slot = Slot::column(24);
const ADDENDUM: Slot = Slot::column(25);
const SESSION_CREDENTIAL_FROM_CONSOLE: Slot = Slot::column(26);
const EDGE_DEVICE_DETAILS: Slot = Slot::column(27);
const TLS_DETAILS: Slot = Slot::column(28);
const INSIGHT_DETAILS: Slot = Slot::column(29);
const EVENT_CONTEXT: Slot = Slot::column(30);

/// The fields of the output, in their order.
#[rustfmt::skip]
const FIELDS: &[Output] = &[
    field(Time(EVENT_TIME), "@timestamp", &["@timestamp"], "when the request was completed"),
    field(Text(EVENT_VERSION), "event_version", &["aws.cloudtrail.event_version"], "version of the record; text, since 1.10 is not 1.1"),
    field(Json(USER_IDENTITY, JsonType::Object), "user_identity", &["aws.cloudtrail.user_identity"], "who has made the request"),
    field(Text(EVENT_SOURCE), "event_source", &["event.provider"], "service that was asked"),
    field(Text(EVENT_NAME), "event_name", &["event.action"], "what was asked"),
    field(Text(AWS_REGION), "aws_region", &["cloud.region"], "region"),
    field(Text(SOURCE_IP_ADDRESS), "source_ip_address", &["source.address"], "client's address, or the name of a service"),
    field(Text(USER_AGENT), "user_agent", &["user_agent.original"], "user agent, cut at 1 KB"),
    field(Text(ERROR_CODE), "error_code", &["aws.cloudtrail.error_code"], "error"),
    field(Text(ERROR_MESSAGE), "error_message", &["aws.cloudtrail.error_message"], "error in words"),
    field(JsonText(REQUEST_PARAMETERS), "request_parameters", &["aws.cloudtrail.request_parameters"], "parameters of the request, as JSON in a text: their types differ between services"),
    field(JsonText(RESPONSE_ELEMENTS), "response_elements", &["aws.cloudtrail.response_elements"], "what the service has answered, as JSON in a text"),
    field(JsonText(ADDITIONAL_EVENT_DATA), "additional_event_data", &["aws.cloudtrail.additional_event_data"], "more of the event, as JSON in a text"),
    field(Text(REQUEST_ID), "request_id", &["aws.cloudtrail.request_id"], "id of the request"),
    field(Text(EVENT_ID), "event_id", &["event.id"], "id of the event"),
    field(Json(READ_ONLY, JsonType::Boolean), "read_only", &["aws.cloudtrail.read_only"], "whether the request only reads"),
    field(Json(RESOURCES, JsonType::Array), "resources", &["aws.cloudtrail.resources"], "resources that were accessed"),
    field(Text(EVENT_TYPE), "event_type", &["aws.cloudtrail.event_type"], "type of the event"),
    field(Text(API_VERSION), "api_version", &["aws.cloudtrail.api_version"], "version of the API"),
    field(Json(MANAGEMENT_EVENT, JsonType::Boolean), "management_event", &["aws.cloudtrail.management_event"], "whether it is a management event"),
    field(Text(RECIPIENT_ACCOUNT_ID), "recipient_account_id", &["aws.cloudtrail.recipient_account_id", "cloud.account.id"], "account that got the event"),
    field(JsonText(SERVICE_EVENT_DETAILS), "service_event_details", &["aws.cloudtrail.service_event_details"], "the service's event, as JSON in a text"),
    field(Text(SHARED_EVENT_ID), "shared_event_id", &["aws.cloudtrail.shared_event_id"], "id that the events of several accounts share"),
    field(Text(VPC_ENDPOINT_ID), "vpc_endpoint_id", &["aws.cloudtrail.vpc_endpoint_id"], "VPC endpoint"),
    field(Text(EVENT_CATEGORY), "event_category", &["aws.cloudtrail.event_category"], "`Management`, `Data`, `NetworkActivity` or `Insight`"),
    field(Json(ADDENDUM, JsonType::Object), "addendum", &["aws.cloudtrail.addendum"], "why the event came late, or was updated"),
    field(Text(SESSION_CREDENTIAL_FROM_CONSOLE), "session_credential_from_console", &["aws.cloudtrail.session_credential_from_console"], "whether it came from a session of the console"),
    field(Json(EDGE_DEVICE_DETAILS, JsonType::Object), "edge_device_details", &["aws.cloudtrail.edge_device_details"], "edge device"),
    field(Json(TLS_DETAILS, JsonType::Object), "tls_details", &["aws.cloudtrail.tls_details"], "TLS version, cipher and host"),
    field(Json(INSIGHT_DETAILS, JsonType::Object), "insight_details", &["aws.cloudtrail.insight_details"], "details of an Insights event"),
    field(Json(EVENT_CONTEXT, JsonType::Object), "event_context", &["aws.cloudtrail.event_context"], "context of the event"),
    field(Address(SOURCE_IP_ADDRESS), "source_ip", &["source.ip"], "client's address, if it is one"),
    field(Present(ERROR_CODE, "failure", "success"), "", &["event.outcome"], "`failure` if there is an error, else `success`"),
    field(Members(Slot::EXTRA, JsonType::Object), "", &["aws.cloudtrail.extra_fields"], "members that AWS has added since"),
];
