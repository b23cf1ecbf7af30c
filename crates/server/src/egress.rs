//! What sandboxes may reach outside: the operator's configuration, and a runtime's own tag.
//!
//! | tag of a runtime | |
//! |---|---|
//! | `coracle:egress` | what alone its sandboxes may reach, as words: `api.example.com:443 .example.org 203.0.113.0/24`; or `off` |
//!
//! The tag narrows what the operator allows and cannot widen it. One that is not understood closes everything: a
//! misspelt list must not be no list.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use coracle_egress::{Allowance, NameServers, NameServersError, Rules};
use ipnet::Ipv4Net;
use serde::Deserialize;

const TAG: &str = "coracle:egress";
const OFF: &str = "off";

/// Egress, as the operator wants it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressConfig {
    /// Whether sandboxes reach anything.
    pub enabled: bool,
    /// Private ranges that are open to sandboxes, such as `10.20.0.0/16`. Loopback, link-local and this host's own
    /// addresses stay closed.
    pub open: Vec<Ipv4Net>,
    /// What alone sandboxes of all runtimes may reach; everything that is not closed if this is empty.
    pub allow: Vec<String>,
    /// The ranges that are a subnet, by the subnet's id. They are all that runtimes in network mode `VPC` reach, of the
    /// subnets these name.
    pub subnets: BTreeMap<String, Vec<Ipv4Net>>,
    /// Who is asked for names, by address or address and port; this host's own name servers if there are none.
    pub nameservers: Vec<NameServer>,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            open: Vec::new(),
            allow: Vec::new(),
            subnets: BTreeMap::new(),
            nameservers: Vec::new(),
        }
    }
}

/// A name server, on port 53 unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum NameServer {
    /// With its port.
    Socket(SocketAddr),
    /// Without.
    Address(IpAddr),
}

impl From<NameServer> for SocketAddr {
    fn from(server: NameServer) -> Self {
        match server {
            NameServer::Socket(socket) => socket,
            NameServer::Address(address) => Self::new(address, 53),
        }
    }
}

impl EgressConfig {
    /// Who is asked for names.
    ///
    /// # Errors
    /// When that is this host's choice, and cannot be found out.
    pub fn name_servers(&self) -> Result<NameServers, NameServersError> {
        if self.nameservers.is_empty() {
            return NameServers::of_host();
        }
        let servers = self.nameservers.iter().copied();
        Ok(servers.map(SocketAddr::from).collect::<Vec<_>>().into())
    }

    /// What sandboxes of a runtime with these tags may reach; with network mode `VPC`, of these subnets.
    pub fn rules(&self, tags: &BTreeMap<String, String>, vpc: Option<&[String]>) -> Rules {
        let public = self.public_rules(tags);
        match vpc {
            Some(subnets) => self.within(subnets, public),
            None => public,
        }
    }

    /// What is left of the rules within the subnets.
    fn within(&self, subnets: &[String], public: Rules) -> Rules {
        let known = subnets.iter().filter_map(|subnet| self.subnets.get(subnet));
        let ranges: Vec<Ipv4Net> = known.flatten().copied().collect();
        let unknown =
            || "this runtime is in a VPC of which the operator has not said what it is ([egress.subnets])";
        let list = ranges.iter().copied().collect();
        Rules {
            off: public
                .off
                .or_else(|| ranges.is_empty().then(|| unknown().to_owned())),
            open: ranges.into(),
            allowances: public.allowances.into_iter().chain([Arc::new(list)]).collect(),
        }
    }

    fn public_rules(&self, tags: &BTreeMap<String, String>) -> Rules {
        let tag = tags.get(TAG).map(String::as_str);
        let mut off = match tag {
            _ if !self.enabled => Some("egress is off on this server ([egress] enabled)".to_owned()),
            Some(OFF) => Some(format!("egress is off for this runtime (tag {TAG})")),
            _ => None,
        };
        let operators = (!self.allow.is_empty()).then(|| ("[egress] allow", self.allow.join(" ")));
        let own = tag.filter(|tag| *tag != OFF).map(|tag| (TAG, tag.to_owned()));
        let mut allowances: Vec<Arc<Allowance>> = Vec::new();
        for (place, list) in operators.into_iter().chain(own) {
            match list.parse() {
                Ok(list) => allowances.push(Arc::new(list)),
                Err(error) => {
                    off = Some(format!(
                        "everything is closed, because {place} is not understood: {error}"
                    ));
                }
            }
        }
        Rules {
            off,
            open: self.open.clone().into(),
            allowances,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(config: &str, tag: Option<&str>) -> Rules {
        let config: EgressConfig = toml::from_str(config).unwrap();
        config.rules(
            &tag.map(|tag| (TAG.to_owned(), tag.to_owned()))
                .into_iter()
                .collect(),
            None,
        )
    }

    #[test]
    fn the_default_is_the_public_internet() {
        assert_eq!(rules("", None), Rules::default());
    }

    #[test]
    fn a_tag_narrows_what_the_operator_allows() {
        assert_eq!(
            rules("allow = [\".example.com\"]", Some("api.example.com:443"))
                .allowances
                .len(),
            2
        );
        assert!(rules("", Some("off")).off.is_some());
        assert!(rules("enabled = false", Some("example.com")).off.is_some());
    }

    #[test]
    fn a_vpc_is_what_the_operator_says_of_its_subnets() {
        let text = "open = [\"10.9.0.0/16\"]\n[subnets]\nsubnet-1 = [\"10.1.0.0/16\"]";
        let config: EgressConfig = toml::from_str(text).unwrap();
        let rules = |subnet: &str| config.rules(&BTreeMap::new(), Some(&[subnet.to_owned()]));
        let known = rules("subnet-1");
        assert_eq!(
            (known.off, &*known.open),
            (None, &["10.1.0.0/16".parse().unwrap()][..])
        );
        assert_eq!(known.allowances.len(), 1);
        assert!(rules("subnet-2").off.unwrap().contains("egress.subnets"));
    }

    #[test]
    fn what_is_not_understood_closes_everything() {
        assert!(
            rules("", Some("*.example.com"))
                .off
                .unwrap()
                .contains("*.example.com")
        );
        assert!(rules("allow = [\"a,b\"]", None).off.is_some());
    }

    #[test]
    fn name_servers_may_have_ports() {
        let config: EgressConfig =
            toml::from_str("nameservers = [\"192.0.2.1\", \"192.0.2.2:5353\"]").unwrap();
        let servers = vec!["192.0.2.1:53".parse().unwrap(), "192.0.2.2:5353".parse().unwrap()];
        assert_eq!(config.name_servers().unwrap(), servers.into());
    }
}
