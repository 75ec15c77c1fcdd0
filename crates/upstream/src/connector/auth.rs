//! `[auth]`: how a connection proves who it is.

use std::collections::BTreeMap;

use super::reader::Table;
use super::template::Template;

/// How a connection proves who it is. `{names}` are filled from its secrets.
#[derive(Clone, Debug)]
pub struct Auth {
    /// The way of proving.
    pub kind: AuthKind,
    /// Headers sent with every call.
    pub headers: Vec<(String, Template)>,
    /// What each secret is and where to find it, for those who set a connection up.
    pub secrets: BTreeMap<String, String>,
}

/// The four ways of proving.
#[derive(Clone, Debug)]
pub enum AuthKind {
    /// Only by the headers in [`Auth::headers`].
    Header,
    /// HTTP basic.
    Basic {
        /// The user's name.
        username: Template,
        /// The password.
        password: Template,
    },
    /// `Authorization: Bearer …` with a token that does not expire.
    Bearer {
        /// The token.
        token: Template,
    },
    /// OAuth 2 client credentials: a token is fetched, kept until shortly before it expires, and fetched again.
    OAuth2 {
        /// Where tokens are given out; absolute, or below the base URL.
        token_url: Template,
        /// The client's id.
        client_id: Template,
        /// The client's secret.
        client_secret: Template,
        /// What the token may do.
        scope: Option<Template>,
        /// Whom the token is for.
        audience: Option<Template>,
    },
}

#[derive(Clone, Copy)]
enum Kind {
    Header,
    Basic,
    Bearer,
    OAuth2,
}

impl Auth {
    pub(super) fn read(root: &Table<'_>) -> Auth {
        let Some(table) = root.table("auth") else {
            if !root.has("auth") {
                root.problem("auth", "is missing: say how a connection proves who it is");
            }
            return Auth {
                kind: AuthKind::Header,
                headers: Vec::new(),
                secrets: BTreeMap::new(),
            };
        };
        let kinds = [
            ("header", Kind::Header),
            ("basic", Kind::Basic),
            ("bearer", Kind::Bearer),
            ("oauth2", Kind::OAuth2),
        ];
        if !table.has("kind") {
            table.problem("kind", "is missing: one of header, basic, bearer, oauth2");
        }
        let named = table.choice("kind", &kinds);
        let kind = match named {
            Some(Kind::Basic) => AuthKind::Basic {
                username: need(&table, "username"),
                password: need(&table, "password"),
            },
            Some(Kind::Bearer) => AuthKind::Bearer {
                token: need(&table, "token"),
            },
            Some(Kind::OAuth2) => AuthKind::OAuth2 {
                token_url: need(&table, "token_url"),
                client_id: need(&table, "client_id"),
                client_secret: need(&table, "client_secret"),
                scope: table
                    .text("scope")
                    .map(|text| template(&table, "scope", &text)),
                audience: table
                    .text("audience")
                    .map(|text| template(&table, "audience", &text)),
            },
            Some(Kind::Header) => AuthKind::Header,
            None => {
                table.allow_anything();
                AuthKind::Header
            }
        };
        let headers = table
            .pairs("headers")
            .unwrap_or_default()
            .into_iter()
            .map(|(name, text)| {
                if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                    table.problem("headers", format!("`{name}` is no name of a header"));
                }
                (name, template(&table, "headers", &text))
            });
        let headers: Vec<_> = headers.collect();
        if matches!(named, Some(Kind::Header)) && headers.is_empty() {
            table.problem(
                "headers",
                "is missing: `kind = \"header\"` sends nothing else",
            );
        }
        let auth = Auth {
            kind,
            headers,
            secrets: table
                .pairs("secrets")
                .unwrap_or_default()
                .into_iter()
                .collect(),
        };
        auth.check_secrets(&table);
        auth
    }

    /// The names of the secrets, sorted.
    pub(super) fn secret_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.templates().flat_map(Template::places).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        let of_kind: Vec<&Template> = match &self.kind {
            AuthKind::Header => vec![],
            AuthKind::Basic { username, password } => vec![username, password],
            AuthKind::Bearer { token } => vec![token],
            AuthKind::OAuth2 {
                token_url,
                client_id,
                client_secret,
                scope,
                audience,
            } => [
                Some(token_url),
                Some(client_id),
                Some(client_secret),
                scope.as_ref(),
                audience.as_ref(),
            ]
            .into_iter()
            .flatten()
            .collect(),
        };
        of_kind
            .into_iter()
            .chain(self.headers.iter().map(|(_, template)| template))
    }

    /// Where `secrets` is given, it and the braces must name the same.
    fn check_secrets(&self, table: &Table<'_>) {
        if self.secrets.is_empty() {
            return;
        }
        let used = self.secret_names();
        for name in &used {
            if !self.secrets.contains_key(*name) {
                let known: Vec<&str> = self.secrets.keys().map(String::as_str).collect();
                table.problem(
                    "secrets",
                    format!(
                        "`{{{name}}}` names no secret. Secrets: {}",
                        known.join(", ")
                    ),
                );
            }
        }
        for name in self
            .secrets
            .keys()
            .filter(|name| !used.contains(&name.as_str()))
        {
            table.problem("secrets", format!("`{name}` is used nowhere"));
        }
    }
}

fn need(table: &Table<'_>, key: &'static str) -> Template {
    let text = table.need_text(key);
    template(table, key, &text)
}

fn template(table: &Table<'_>, key: &str, text: &str) -> Template {
    Template::parse(text).unwrap_or_else(|message| {
        table.problem(key, message);
        Template::fixed(text)
    })
}
