//! CIDR lists: networks, alone or as a column of CSV, of which the most specific one that has an address answers.
//!
//! ```text
//! # The first line that is no comment has the columns' names, unless it begins with a network.
//! cidr,site
//! 10.0.0.0/8,office
//! 10.1.0.0/16,warehouse
//! ```
//!
//! Each row says which network it is of, as `cidr`.

use std::fmt::Write;
use std::io::Read;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use csv::{ReaderBuilder, StringRecord, Trim};
use ipnet::{IpNet, Ipv4Net};
use prefix_trie::joint::JointPrefixMap;

use super::csv::{Columns, next, place};
use super::rows::Rows;

/// About how many bytes the trie takes for each network, measured with a million at random. It does not tell itself.
const NODE_V4: usize = 40;
const NODE_V6: usize = 135;

/// The longest text of a network, with what is around it at the beginning of a row.
const LONGEST_BEGIN: usize = 64;

#[derive(Default)]
pub(super) struct Networks {
    /// Of each row what follows the network, which the trie knows: in a plain list that is next to nothing.
    rests: Rows,
    /// The number of the rest of each.
    trie: JointPrefixMap<IpNet, u32>,
    v4: usize,
    v6: usize,
}

pub(super) fn read(bytes: impl Read, key: Option<&str>) -> Result<Networks> {
    let mut lines = ReaderBuilder::new().has_headers(false).comment(Some(b'#')).trim(Trim::All).from_reader(bytes);
    let mut table = Networks::default();
    let mut line = StringRecord::new();
    let mut has_line = next(&mut lines, &mut line)?;
    if !has_line || !is_name(&line[0]) {
        ensure!(key.is_none(), "`key` is `{}`, but no line has the names of its columns", key.unwrap_or_default());
        ensure!(
            line.len() <= 1,
            "{} has {} columns, but no line above has their names: begin with `cidr,NAME,...`",
            place(&line),
            line.len()
        );
        while has_line {
            table.insert(&line[0], b"}").with_context(|| place(&line))?;
            has_line = next(&mut lines, &mut line)?;
        }
    } else {
        let columns = Columns::new(&line)?;
        let key = columns.position(key)?;
        columns.check_no_cidr_but(key)?;
        let mut rest = Vec::new();
        while next(&mut lines, &mut line)? {
            rest.clear();
            for (position, value) in line.iter().enumerate().filter(|(position, _)| *position != key) {
                columns.write(position, value, &mut rest);
            }
            rest.push(b'}');
            table.insert(&line[key], &rest).with_context(|| place(&line))?;
        }
    }
    table.rests.shrink();
    Ok(table)
}

impl Networks {
    fn insert(&mut self, text: &str, rest: &[u8]) -> Result<()> {
        let network = network(text)?;
        let rest = std::str::from_utf8(rest).expect("it is made of strings");
        if let Some(number) = self.trie.get(&network) {
            ensure!(self.rests.get(*number) == rest, "the network {network} stands further up, with another row");
            return Ok(());
        }
        self.trie.insert(network, self.rests.push(rest)?);
        match network {
            IpNet::V4(_) => self.v4 += 1,
            IpNet::V6(_) => self.v6 += 1,
        }
        Ok(())
    }

    /// The row of the most specific network that has the address.
    pub(super) fn get(&self, address: IpAddr) -> Option<String> {
        let (network, number) = self.trie.get_lpm(&IpNet::from(address))?;
        let rest = self.rests.get(*number);
        let mut row = String::with_capacity(LONGEST_BEGIN + rest.len());
        write!(row, "{{\"cidr\":\"{network}\"{rest}").expect("a string takes any text");
        Some(row)
    }

    pub(super) fn len(&self) -> usize {
        self.v4 + self.v6
    }

    pub(super) fn bytes(&self) -> usize {
        self.rests.bytes() + self.v4 * NODE_V4 + self.v6 * NODE_V6
    }
}

/// Whether a first cell can be a column's name. What has the look of a network is none, so that one with a mistake in it is
/// reported, rather than taken for a name and left out.
fn is_name(cell: &str) -> bool {
    !cell.starts_with(|c: char| c.is_ascii_digit()) && !cell.contains([':', '/'])
}

/// A network, or an address, which is a network of one. One of v4 in the clothes of v6 is one of v4.
fn network(text: &str) -> Result<IpNet> {
    let network: Option<IpNet> = text.parse().ok().or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?)));
    let network = network.with_context(|| format!("`{text}` is no network: expected one such as `10.0.0.0/8`"))?;
    ensure!(
        network.trunc() == network,
        "`{text}` has bits that its prefix length leaves out: expected `{}`",
        network.trunc()
    );
    let IpNet::V6(v6) = network else { return Ok(network) };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    Ok(mapped.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(network, IpNet::V4))
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{error, read};

    #[test]
    fn the_most_specific_network_answers() {
        let text = "# ours\ncidr,site\n10.0.0.0/8,office\n10.1.0.0/16, warehouse\n2001:DB8::/32,v6\n192.0.2.7,one\n";
        let table = read(Format::Cidr, None, text).unwrap();
        for (address, row) in [
            ("10.2.3.4", Some(r#"{"cidr":"10.0.0.0/8","site":"office"}"#)),
            ("10.1.3.4", Some(r#"{"cidr":"10.1.0.0/16","site":"warehouse"}"#)),
            ("::ffff:10.1.3.4", Some(r#"{"cidr":"10.1.0.0/16","site":"warehouse"}"#)),
            ("::ffff:a01:304", Some(r#"{"cidr":"10.1.0.0/16","site":"warehouse"}"#)),
            ("2001:db8::1", Some(r#"{"cidr":"2001:db8::/32","site":"v6"}"#)),
            ("192.0.2.7", Some(r#"{"cidr":"192.0.2.7/32","site":"one"}"#)),
            ("192.0.2.8", None),
            ("2001:db9::1", None),
            ("10.1.3", None),
            ("10.1.0.0/16", None),
            ("", None),
        ] {
            assert_eq!(table.get(address).as_deref(), row, "{address}");
        }
        assert_eq!(table.rows(), 4);
    }

    #[test]
    fn a_plain_list_needs_no_names() {
        let table =
            read(Format::Cidr, None, "# bad\n0.0.0.0/0\n\n192.0.2.0/24\n192.0.2.0/24\n::ffff:198.51.100.0/120\n::/0\n")
                .unwrap();
        assert_eq!(table.rows(), 4);
        assert_eq!(table.get("192.0.2.1").unwrap(), r#"{"cidr":"192.0.2.0/24"}"#);
        assert_eq!(table.get("198.51.100.1").unwrap(), r#"{"cidr":"198.51.100.0/24"}"#);
        assert_eq!(table.get("203.0.113.1").unwrap(), r#"{"cidr":"0.0.0.0/0"}"#);
        assert_eq!(table.get("fe80::1").unwrap(), r#"{"cidr":"::/0"}"#);
        assert_eq!(read(Format::Cidr, None, "").unwrap().rows(), 0);
    }

    #[test]
    fn the_network_may_stand_in_any_column() {
        let text = "as,network\n64500,192.0.2.0/24\n";
        let table = read(Format::Cidr, Some("network"), text).unwrap();
        assert_eq!(table.get("192.0.2.1").unwrap(), r#"{"cidr":"192.0.2.0/24","as":"64500"}"#);
    }

    #[test]
    fn a_mistake_names_its_line() {
        for (key, text, expected) in [
            (None, "cidr\n10.0.0.0/33\n", "line 2: `10.0.0.0/33` is no network: expected one such as `10.0.0.0/8`"),
            (
                None,
                "10.0.0.1/8\n",
                "line 1: `10.0.0.1/8` has bits that its prefix length leaves out: expected `10.0.0.0/8`",
            ),
            (
                None,
                "10.0.0.0/8,a\n",
                "line 1 has 2 columns, but no line above has their names: begin with `cidr,NAME,...`",
            ),
            (None, "fe80:::/10\n", "line 1: `fe80:::/10` is no network: expected one such as `10.0.0.0/8`"),
            (None, "10.0.0.0/8\n10.0.0.0/9,a\n", "line 2 has 2 columns: expected 1, as in the first line"),
            (
                None,
                "n,a\n10.0.0.0/8,1\n10.0.0.0/8,2\n",
                "line 3: the network 10.0.0.0/8 stands further up, with another row",
            ),
            (
                None,
                "network,cidr\n",
                "column 2 is named `cidr`, as the network that matched is in each row: name it otherwise",
            ),
            (Some("a"), "10.0.0.0/8\n", "`key` is `a`, but no line has the names of its columns"),
            (Some("a"), "cidr,b\n", "`key` is `a`, which is no column of it: expected one of `cidr`, `b`"),
        ] {
            assert_eq!(error(Format::Cidr, key, text), expected);
        }
    }
}
