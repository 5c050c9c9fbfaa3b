//! The logins of the Flight SQL front end are those of the PostgreSQL one, with one count of failed attempts.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use farthing_engine::Result;
use farthing_engine::principal::Login;
use farthing_engine::secret::SecretString;
use farthing_sql::Frontend;

use crate::auth::Authenticator;
use crate::flight::Logins;

/// The front end's logins, checked by the authenticator that both protocols share.
pub struct SharedLogins {
    frontend: Frontend,
    authenticator: Arc<Authenticator>,
}

impl SharedLogins {
    /// Logins of `frontend`, checked by `authenticator`.
    pub fn new(frontend: Frontend, authenticator: Arc<Authenticator>) -> Self {
        Self {
            frontend,
            authenticator,
        }
    }
}

#[async_trait]
impl Logins for SharedLogins {
    fn find(&self, name: &str) -> Option<Login> {
        self.frontend.login(name)
    }

    async fn check_password(&self, name: &str, password: SecretString, address: Option<IpAddr>) -> Result<()> {
        let checked = self.authenticator.check_password(name, password, address).await;
        checked.map(|_principal| ())
    }
}
