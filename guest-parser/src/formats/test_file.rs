//! `ELBAccessLogTestFile`, by which a load balancer tests its permission to write: one line that is no record.

use elbow_guest::scan::Syntax;

use crate::table::{Encoding, Header, Table};

/// The format. Its lines are dropped, so that they are counted.
pub const TABLE: Table = Table {
    what: "a test file's",
    summary: "ELBAccessLogTestFile, by which a load balancer tests its permission to write; its lines are dropped",
    syntax: Syntax::SPACES,
    encoding: Encoding::Plain,
    header: Header::None,
    columns: &[],
    min_columns: 0,
    fields: &[],
    parts: |_, _| Ok(()),
    has_zones: true,
    category: "web",
    ecs_prefix: "aws.elb",
    original: None,
};
