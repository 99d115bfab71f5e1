//! The shape of `[snmp]`.

use std::net::SocketAddr;

use serde::Deserialize;

use super::ManagementAddress;
use super::value::{Network, SnmpAuth, SnmpPrivacy, Text};

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Snmp {
    pub(crate) listen: ManagementAddress,
    pub(crate) managers: Vec<Text<Network>>,
    pub(crate) users: Vec<SnmpUser>,
    pub(crate) communities: Vec<SnmpCommunity>,
    pub(crate) traps: Vec<SnmpTrap>,
    pub(crate) contact: String,
    pub(crate) location: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnmpUser {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) auth: SnmpAuth,
    pub(crate) auth_secret: String,
    #[serde(default, rename = "priv")]
    pub(crate) privacy: SnmpPrivacy,
    #[serde(rename = "priv_secret")]
    pub(crate) privacy_secret: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnmpCommunity {
    pub(crate) community: String,
    pub(crate) from: Vec<Text<Network>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnmpTrap {
    pub(crate) address: Text<SocketAddr>,
    pub(crate) user: Option<String>,
    pub(crate) community: Option<String>,
}
