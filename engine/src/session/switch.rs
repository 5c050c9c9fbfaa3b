//! Settings that are on or off.

/// Whether something that makes statements faster is used. Rows are the same either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Switch {
    /// It is used where it can be.
    #[default]
    On,
    /// It is not used.
    Off,
}

impl Switch {
    /// Whether it is [`Switch::On`].
    pub fn is_on(self) -> bool {
        self == Self::On
    }

    /// The switch that a setting's value names: `off`, or anything else for on.
    pub fn of_value(value: &str) -> Self {
        match value {
            "off" => Self::Off,
            _ => Self::On,
        }
    }
}
