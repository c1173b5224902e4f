//! The token of a user who has a password: taken at first need, and again when etcd does not know it any more.
//!
//! A simple token ends five minutes after its last use, and one made by `--auth-token jwt` with any change of users. So it
//! goes by what etcd answers, never by time.

use super::call::CallFault;
use super::connection::EtcdConnection;
use super::fault::{EtcdFault, EtcdRefusal};
use super::judged::Judged;
use super::messages::{AuthenticateRequest, AuthenticateResponse};
use super::times::EtcdTimes;
use crate::core::settings::EtcdUser;
use http::HeaderValue;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::timeout;

const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

/// Who asks.
#[derive(Debug)]
pub(super) struct Login {
    user: Option<EtcdUser>,
    token: Mutex<Token>,
}

#[derive(Debug, Default)]
enum Token {
    #[default]
    Missing,
    /// etcd's users are switched off.
    Needless,
    Known(HeaderValue),
}

impl Login {
    pub(super) fn new(user: Option<EtcdUser>) -> Self {
        Login { user, token: Mutex::default() }
    }

    /// The user who has a password, if there is one.
    pub(super) fn name(&self) -> Option<&Arc<str>> {
        self.user.as_ref().map(|user| &user.name)
    }

    /// What is sent along with calls. One caller logs in while the others wait.
    ///
    /// # Errors
    /// The user is refused, or the member does not answer.
    pub(super) async fn token(
        &self,
        connection: &EtcdConnection,
        times: &EtcdTimes,
    ) -> Result<Option<HeaderValue>, EtcdFault> {
        let Some(user) = &self.user else { return Ok(None) };
        let mut token = self.token.lock().await;
        if let Token::Missing = *token {
            *token = self.log_in(user, connection, times).await?;
        }
        Ok(match &*token {
            Token::Known(token) => Some(token.clone()),
            Token::Missing | Token::Needless => None,
        })
    }

    /// etcd does not take this token, or none. Whether another can be had.
    pub(super) async fn forget(&self, refused: Option<&HeaderValue>) -> bool {
        let mut token = self.token.lock().await;
        let is_current = match &*token {
            Token::Known(known) => Some(known) == refused,
            Token::Needless => refused.is_none(),
            Token::Missing => false,
        };
        if is_current {
            *token = Token::Missing;
        }
        self.user.is_some()
    }

    async fn log_in(
        &self,
        user: &EtcdUser,
        connection: &EtcdConnection,
        times: &EtcdTimes,
    ) -> Result<Token, EtcdFault> {
        let head = connection.head(AUTHENTICATE, None, Some(times.login));
        let question =
            AuthenticateRequest { name: user.name.to_string(), password: user.password.to_string() };
        let endpoint = &connection.endpoint.name;
        let answer = timeout(times.login, head.unary(&connection.sender, &question)).await;
        let fault = match answer {
            Ok(Ok(AuthenticateResponse { token, .. })) => {
                let mut token = HeaderValue::try_from(token)
                    .map_err(|error| EtcdFault::NotConnected(format!("{endpoint}: a token: {error}")))?;
                token.set_sensitive(true);
                return Ok(Token::Known(token));
            }
            Ok(Err(CallFault::Status(status)))
                if status.message.contains("authentication is not enabled") =>
            {
                return Ok(Token::Needless);
            }
            Ok(Err(fault)) => fault,
            Err(_) => CallFault::Broken(format!("no login within {} ms", times.login.as_millis())),
        };
        let said = fault.to_string();
        if let CallFault::Status(status) = &fault
            && let Judged::Refused(reason) = status.judged(Some(&user.name))
        {
            return Err(EtcdFault::Refused(EtcdRefusal { endpoint: endpoint.clone(), reason, said }));
        }
        Err(EtcdFault::NotConnected(format!("{endpoint}: {said}")))
    }
}
