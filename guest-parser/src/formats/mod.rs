//! The formats, a file each: a table of columns and fields, and what is particular about the format.

pub mod alb;
pub mod alb_connection;
pub mod alb_health_check;
pub mod classic_elb;
pub mod cloudfront;
pub mod cloudtrail;
pub mod nlb;
pub mod s3_access;
pub mod s3_access_json;
pub mod test_file;
pub mod vpc_flow;
pub mod waf;
