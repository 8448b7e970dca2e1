//! A faithful Bandwidth and Plivo on loopback.
