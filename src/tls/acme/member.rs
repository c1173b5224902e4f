//! A member's part in the certificate of its fleet: it keeps a copy of what is shared and answers the authority. What its
//! own disk has and the store lacks becomes shared while it leads: after an order, and after the store has lost it.

use super::sharing::{AcmeItem, AcmeShared};
use super::term::{OrderRecord, Term};
use super::{AcmeError, Keeper, account, files, schedule};
use crate::core::settings::Acme;
use crate::tls::load::{Facts, load};

impl Keeper {
    /// Takes what is shared, before anything is served.
    pub fn begin(&mut self) {
        let settings = self.configs.borrow().acme.clone();
        if let (Some(settings), Some(seam)) = (settings, &mut self.seam) {
            let shared = seam.current();
            self.follow(&settings, &shared);
        }
    }

    /// Takes what is shared; the term, while this member leads.
    ///
    /// # Errors
    /// [`AcmeError::Unshared`].
    pub(super) async fn take_part(&mut self, settings: &Acme) -> Result<Option<Term>, AcmeError> {
        let Some(seam) = &mut self.seam else { return Ok(None) };
        let shared = seam.current();
        self.follow(settings, &shared);
        let Some(seam) = &self.seam else { return Ok(None) };
        if shared.order_revision > shared.shown {
            seam.show(shared.order_revision);
        }
        let Some(mut term) = Term::of(seam, &shared, settings) else { return Ok(None) };
        term.share_account(settings).await?;
        if let Some(text) = lacking(settings, &shared) {
            term.share_certificate(text).await?;
        }
        Ok(Some(term))
    }

    /// Brings the disk, what is served and the answers in line with what is shared.
    fn follow(&mut self, settings: &Acme, shared: &AcmeShared) {
        let kept = self.keep(settings, shared).err().map(|error| error.to_string());
        if let Some(fault) = kept.as_ref().filter(|fault| self.complaint.as_ref() != Some(fault)) {
            tracing::error!("what the fleet shares of its certificate is not taken: {fault}");
        }
        self.complaint = kept;
        let answers = OrderRecord::of(shared).map(|record| record.answers).unwrap_or_default();
        self.challenges.replace(&answers);
    }

    fn keep(&self, settings: &Acme, shared: &AcmeShared) -> Result<(), AcmeError> {
        if let Some(text) = shared.texts.get(&AcmeItem::Account) {
            account::keep(settings, text)?;
        }
        let Some(text) = shared.texts.get(&AcmeItem::Certificate) else { return Ok(()) };
        let own = own(settings);
        if own.as_deref() == Some(text) || !is_better(settings, text, own.as_deref())? {
            return Ok(());
        }
        files::exchange(settings, text)?;
        self.in_use.iter().for_each(|certificates| certificates.refresh());
        Ok(())
    }
}

/// The own certificate, where an authority has issued it and the store has none, or an older one.
fn lacking(settings: &Acme, shared: &AcmeShared) -> Option<String> {
    let issued = load(&settings.certificate()).is_ok_and(|loaded| !loaded.facts.is_self_signed);
    let own = own(settings).filter(|_| issued)?;
    match shared.texts.get(&AcmeItem::Certificate) {
        Some(text) if **text == *own => None,
        // One that cannot be read is none.
        Some(text) => is_better(settings, &own, Some(text)).unwrap_or(false).then_some(own),
        None => Some(own),
    }
}

fn own(settings: &Acme) -> Option<String> {
    std::fs::read_to_string(settings.certificate().cert).ok()
}

/// Whether a certificate takes the place of another one: it is for the names that are configured and that one is not, or it
/// is not older.
fn is_better(settings: &Acme, text: &str, than: Option<&str>) -> Result<bool, AcmeError> {
    let rank = |text: &str| {
        let facts = Facts::of_pem(text.as_bytes())?;
        let fits = !facts.is_self_signed && schedule::same(&facts.names, &settings.names);
        Ok((!facts.is_self_signed, fits, facts.from.timestamp()))
    };
    let rank_of = |text: &str| rank(text).map_err(AcmeError::Unusable);
    let new = rank_of(text)?;
    Ok(than.and_then(|than| rank_of(than).ok()).is_none_or(|old| new >= old))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, date_time_ymd};

    /// A certificate for a name that begins at a day of a month, of an authority.
    fn issued(name: &str, day: u8) -> String {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(authority, key).expect("an authority");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2026, 1, day);
        params.signed_by(&KeyPair::generate().expect("a key"), &issuer).expect("a certificate").pem()
    }

    #[test]
    fn the_newest_certificate_for_the_names_is_the_fleets() {
        let (directory, contact, names) =
            ("https://a/".to_owned(), Vec::new(), vec!["one.example".to_owned()]);
        let settings = Acme { directory, contact, names, ca: None, dir: "/nowhere".into() };
        let placeholder = super::super::order::placeholder(&settings.names).expect("a placeholder");
        let (old, new, other) =
            (issued("one.example", 1), issued("one.example", 2), issued("two.example", 3));
        let better = |one: &str, than| is_better(&settings, one, than).expect("a certificate");
        for (one, than) in [(&new, &old), (&old, &other), (&new, &placeholder), (&other, &placeholder)] {
            assert!(better(one, Some(than)) && !better(than, Some(one)), "{one} and {than}");
        }
        assert!(better(&old, None) && better(&old, Some("garbage")) && better(&old, Some(&old)));
        assert!(is_better(&settings, "garbage", Some(&old)).is_err());
        assert!(is_better(&settings, "", None).is_err());
    }
}
