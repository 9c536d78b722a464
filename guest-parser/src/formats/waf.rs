//! Log of a web ACL of AWS WAF (AWS: "Log fields for protection pack (web ACL) traffic").
//!
//! Records are JSON objects, one a line, or one after the other without a newline where Firehose has written them. What is
//! nested deeper than the members of `httpRequest` is kept as it is.

use elbow_guest::JsonType;
use elbow_guest::scan::Syntax;

use crate::source::Source::{Address, Choice, EpochMilliseconds, HttpVersion, Json, Members, Number, Query, Text, Url};
use crate::table::{Encoding, Header, Output, Table, field};
use crate::values::Slot;

/// The format.
pub const TABLE: Table = Table {
    what: "a WAF",
    summary: "log of a web ACL of AWS WAF",
    syntax: Syntax::SPACES,
    encoding: Encoding::Plain,
    header: Header::None,
    columns: &COLUMNS,
    min_columns: 0,
    fields: FIELDS,
    parts: |batch, values| {
        let country = values.get(HTTP_REQUEST_COUNTRY);
        if country.of(batch) == b"-" {
            values.set(HTTP_REQUEST_COUNTRY, elbow_guest::scan::Span::NONE);
        }
        Ok(())
    },
    has_zones: true,
    category: "web",
    ecs_prefix: "aws.waf",
    original: None,
};

/// The members that are known; of an object that is taken apart, with its name before them.
const COLUMNS: [&str; 36] = [
    "timestamp",
    "formatVersion",
    "webaclId",
    "terminatingRuleId",
    "terminatingRuleType",
    "action",
    "terminatingRuleMatchDetails",
    "httpSourceName",
    "httpSourceId",
    "ruleGroupList",
    "rateBasedRuleList",
    "nonTerminatingMatchingRules",
    "requestHeadersInserted",
    "responseCodeSent",
    "httpRequest.clientIp",
    "httpRequest.country",
    "httpRequest.headers",
    "httpRequest.uri",
    "httpRequest.args",
    "httpRequest.fragment",
    "httpRequest.scheme",
    "httpRequest.host",
    "httpRequest.httpVersion",
    "httpRequest.httpMethod",
    "httpRequest.requestId",
    "labels",
    "captchaResponse",
    "challengeResponse",
    "oversizeFields",
    "requestBodySize",
    "requestBodySizeInspectedByWAF",
    "ja3Fingerprint",
    "ja4Fingerprint",
    "clientAsn",
    "forwardedAsn",
    "cfDistributionTenantId",
];

const TIMESTAMP: Slot = Slot::column(0);
const FORMAT_VERSION: Slot = Slot::column(1);
const WEBACL_ID: Slot = Slot::column(2);
const TERMINATING_RULE_ID: Slot = Slot::column(3);
const TERMINATING_RULE_TYPE: Slot = Slot::column(4);
const ACTION: Slot = Slot::column(5);
const TERMINATING_RULE_MATCH_DETAILS: Slot = Slot::column(6);
const HTTP_SOURCE_NAME: Slot = Slot::column(7);
const HTTP_SOURCE_ID: Slot = Slot::column(8);
const RULE_GROUP_LIST: Slot = Slot::column(9);
const RATE_BASED_RULE_LIST: Slot = Slot::column(10);
const NON_TERMINATING_MATCHING_RULES: Slot = Slot::column(11);
const REQUEST_HEADERS_INSERTED: Slot = Slot::column(12);
const RESPONSE_CODE_SENT: Slot = Slot::column(13);
const HTTP_REQUEST_CLIENT_IP: Slot = Slot::column(14);
const HTTP_REQUEST_COUNTRY: Slot = Slot::column(15);
const HTTP_REQUEST_HEADERS: Slot = Slot::column(16);
const HTTP_REQUEST_URI: Slot = Slot::column(17);
const HTTP_REQUEST_ARGS: Slot = Slot::column(18);
const HTTP_REQUEST_FRAGMENT: Slot = Slot::column(19);
const HTTP_REQUEST_SCHEME: Slot = Slot::column(20);
const HTTP_REQUEST_HOST: Slot = Slot::column(21);
const HTTP_REQUEST_HTTP_VERSION: Slot = Slot::column(22);
const HTTP_REQUEST_HTTP_METHOD: Slot = Slot::column(23);
const HTTP_REQUEST_REQUEST_ID: Slot = Slot::column(24);
const LABELS: Slot = Slot::column(25);
const CAPTCHA_RESPONSE: Slot = Slot::column(26);
const CHALLENGE_RESPONSE: Slot = Slot::column(27);
const OVERSIZE_FIELDS: Slot = Slot::column(28);
const REQUEST_BODY_SIZE: Slot = Slot::column(29);
const REQUEST_BODY_SIZE_INSPECTED_BY_WAF: Slot = Slot::column(30);
const JA3_FINGERPRINT: Slot = Slot::column(31);
const JA4_FINGERPRINT: Slot = Slot::column(32);
const CLIENT_ASN: Slot = Slot::column(33);
const FORWARDED_ASN: Slot = Slot::column(34);
const CF_DISTRIBUTION_TENANT_ID: Slot = Slot::column(35);

/// The fields of the output, in their order.
#[rustfmt::skip]
const FIELDS: &[Output] = &[
    field(EpochMilliseconds(TIMESTAMP), "@timestamp", &["@timestamp"], "when the request was inspected"),
    field(Number(FORMAT_VERSION), "format_version", &["aws.waf.format_version"], "version of the log"),
    field(Text(WEBACL_ID), "webacl_id", &["aws.waf.arn"], "ARN of the web ACL"),
    field(Text(TERMINATING_RULE_ID), "terminating_rule_id", &["rule.id"], "rule that decided, or `Default_Action`"),
    field(Text(TERMINATING_RULE_TYPE), "terminating_rule_type", &["rule.ruleset"], "type of that rule"),
    field(Text(ACTION), "action", &["event.action"], "`ALLOW`, `BLOCK`, `COUNT`, `CAPTCHA`, `CHALLENGE`, an open set"),
    field(Json(TERMINATING_RULE_MATCH_DETAILS, JsonType::Array), "terminating_rule_match_details", &["aws.waf.terminating_rule_match_details"], "what that rule has matched"),
    field(Text(HTTP_SOURCE_NAME), "http_source_name", &["aws.waf.source.name"], "kind of the protected resource, as `ALB` or `CF`"),
    field(Text(HTTP_SOURCE_ID), "http_source_id", &["aws.waf.source.id"], "id of the protected resource"),
    field(Json(RULE_GROUP_LIST, JsonType::Array), "rule_group_list", &["aws.waf.rule_group_list"], "rule groups, and what they have matched"),
    field(Json(RATE_BASED_RULE_LIST, JsonType::Array), "rate_based_rule_list", &["aws.waf.rate_based_rule_list"], "rate-based rules that acted"),
    field(Json(NON_TERMINATING_MATCHING_RULES, JsonType::Array), "non_terminating_matching_rules", &["aws.waf.non_terminating_matching_rules"], "rules that matched and did not decide"),
    field(Json(REQUEST_HEADERS_INSERTED, JsonType::Array), "request_headers_inserted", &["aws.waf.request_headers_inserted"], "headers that were added"),
    field(Number(RESPONSE_CODE_SENT), "response_code_sent", &["http.response.status_code"], "status of a custom response"),
    field(Text(HTTP_REQUEST_CLIENT_IP), "http_request_client_ip", &["source.address"], "client's address"),
    field(Text(HTTP_REQUEST_COUNTRY), "http_request_country", &["source.geo.country_iso_code"], "client's country"),
    field(Json(HTTP_REQUEST_HEADERS, JsonType::Array), "http_request_headers", &["aws.waf.request.headers"], "headers, as names and values, repeats included"),
    field(Url(HTTP_REQUEST_URI), "http_request_uri", &["url.path"], "path of the URL"),
    field(Query(HTTP_REQUEST_ARGS), "http_request_args", &["url.query"], "query of the URL"),
    field(Text(HTTP_REQUEST_FRAGMENT), "http_request_fragment", &["url.fragment"], "fragment of the URL"),
    field(Text(HTTP_REQUEST_SCHEME), "http_request_scheme", &["url.scheme"], "scheme of the URL"),
    field(Text(HTTP_REQUEST_HOST), "http_request_host", &["url.domain"], "host of the URL"),
    field(Text(HTTP_REQUEST_HTTP_VERSION), "http_request_http_version", &[], "HTTP version, as `HTTP/1.1`"),
    field(Text(HTTP_REQUEST_HTTP_METHOD), "http_request_http_method", &["http.request.method"], "HTTP method"),
    field(Text(HTTP_REQUEST_REQUEST_ID), "http_request_request_id", &["http.request.id"], "id of the request"),
    field(Json(LABELS, JsonType::Array), "labels", &["aws.waf.labels"], "labels of the request, the first 100"),
    field(Json(CAPTCHA_RESPONSE, JsonType::Object), "captcha_response", &["aws.waf.captcha_response"], "outcome of a CAPTCHA"),
    field(Json(CHALLENGE_RESPONSE, JsonType::Object), "challenge_response", &["aws.waf.challenge_response"], "outcome of a challenge"),
    field(Json(OVERSIZE_FIELDS, JsonType::Array), "oversize_fields", &["aws.waf.oversize_fields"], "parts of the request that were too large to inspect"),
    field(Number(REQUEST_BODY_SIZE), "request_body_size", &["http.request.body.bytes"], "bytes of the body"),
    field(Number(REQUEST_BODY_SIZE_INSPECTED_BY_WAF), "request_body_size_inspected_by_waf", &["aws.waf.request_body_size_inspected_by_waf"], "bytes of the body that were inspected"),
    field(Text(JA3_FINGERPRINT), "ja3_fingerprint", &["tls.client.ja3"], "JA3 fingerprint of the client"),
    field(Text(JA4_FINGERPRINT), "ja4_fingerprint", &["aws.waf.ja4_fingerprint"], "JA4 fingerprint of the client"),
    field(Number(CLIENT_ASN), "client_asn", &["source.as.number"], "number of the client's autonomous system"),
    field(Number(FORWARDED_ASN), "forwarded_asn", &["aws.waf.forwarded_asn"], "number of the autonomous system that was forwarded"),
    field(Text(CF_DISTRIBUTION_TENANT_ID), "cf_distribution_tenant_id", &["aws.waf.cf_distribution_tenant_id"], "tenant of the distribution"),
    field(Address(HTTP_REQUEST_CLIENT_IP), "", &["source.ip"], "client's address, if it is one"),
    field(HttpVersion(HTTP_REQUEST_HTTP_VERSION), "", &["http.version"], "HTTP version, as `1.1`"),
    field(Choice(ACTION, "BLOCK", "failure", "success"), "", &["event.outcome"], "`failure` for `BLOCK`, else `success`"),
    field(Members(Slot::EXTRA, JsonType::Object), "", &["aws.waf.extra_fields"], "members that AWS has added since"),
];
