//! Reference data: the catalogue of services, and what an address says of place and network.

pub mod catalogue;
