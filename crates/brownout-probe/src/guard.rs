//! Which addresses may be touched.

use std::net::IpAddr;

use brownout_core::reach::is_bogon;
use serde::{Deserialize, Serialize};

/// Which addresses a probe connects to. It is asked after names are looked up, each time anew: a name that
/// leads to a private address, or does so the second time, gets nobody in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// Those of public networks alone.
    #[default]
    Public,
    /// All: for laboratories, and for operators who watch a network of their own.
    Any,
}

impl Guard {
    /// Whether an address may be connected to.
    pub fn allows(self, address: IpAddr) -> bool {
        self == Guard::Any || !is_bogon(address)
    }
}
