//! What an upstream learns of the client and of the proxies before this one, field by field.

/// One choice for each field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// `X-Forwarded-For`; where it is off, `Forwarded` goes, too.
    pub chain: ForwardedField,
    /// `X-Forwarded-Proto`.
    pub proto: ForwardedField,
    /// `X-Forwarded-Host`.
    pub host: ForwardedField,
    /// `X-Forwarded-Port`.
    pub port: ForwardedField,
    /// `X-Real-IP`.
    pub real_ip: ForwardedField,
}

/// Where the value of a field comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedField {
    /// From trusted proxies, whose chain is continued; of others it is replaced.
    #[default]
    Trusted,
    /// The chain of everybody is continued, as nginx's `$proxy_add_x_forwarded_for` is.
    Append,
    /// From here, whatever came.
    Replace,
    /// What came passes, if anything did.
    Keep,
    /// Nothing passes.
    Off,
}

impl Forwarded {
    /// Where one word stands for all of them. Of a chain it says all; what is no chain is believed of trusted proxies,
    /// unless all is kept or off.
    pub fn all(word: ForwardedField) -> Self {
        let others = match word {
            ForwardedField::Keep | ForwardedField::Off => word,
            ForwardedField::Trusted | ForwardedField::Append | ForwardedField::Replace => {
                ForwardedField::Trusted
            }
        };
        Forwarded { chain: word, proto: others, host: others, port: others, real_ip: others }
    }
}

impl Default for Forwarded {
    fn default() -> Self {
        Forwarded::all(ForwardedField::Trusted)
    }
}
