//! The ways in which Farthing is asked: what a user gets, and what is left of it when parts are switched off.

use std::fmt;

use clap::ValueEnum;

/// A way to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// As a user gets it after the work in the background is done, but without kept results.
    Default,
    /// The same with kept results: a question that was asked before.
    Repeated,
    /// Every row is read: neither rollups nor kept results.
    Scan,
    /// As it is when an export was just connected: nothing but what AWS delivered, and no kept results.
    Fresh,
}

impl Mode {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 4] = [Self::Default, Self::Repeated, Self::Scan, Self::Fresh];

    /// The settings of its sessions.
    pub fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Default | Self::Fresh => &[("farthing.result_cache", "off")],
            Self::Repeated => &[("farthing.result_cache", "on")],
            Self::Scan => &[("farthing.rollup", "off"), ("farthing.result_cache", "off")],
        }
    }

    /// Whether the work in the background has been done before.
    pub fn is_settled(self) -> bool {
        self != Self::Fresh
    }

    /// Whether its first run is worth a figure: that of `Repeated` is the one of `Default`.
    pub fn has_cold(self) -> bool {
        self != Self::Repeated
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Repeated => "repeated",
            Self::Scan => "scan",
            Self::Fresh => "fresh",
        })
    }
}
