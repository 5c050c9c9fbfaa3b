//! The messages that clients send, read without trust in any length inside them.

use bytes::{Buf, Bytes};

use crate::pg::error::PgError;

/// A packet of the start-up phase.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::pg) enum Opening {
    /// The client asks for TLS.
    Tls,
    /// The client asks for GSSAPI encryption.
    Gss,
    /// The client asks to cancel what another connection runs.
    Cancel {
        /// The connection's number.
        pid: i32,
        /// What proves the right to cancel.
        secret: Vec<u8>,
    },
    /// The client wants a session.
    Startup {
        /// The minor protocol version after 3.
        minor: u16,
        /// `user`, `database`, settings; in the order given.
        parameters: Vec<(String, String)>,
    },
}

/// What Describe and Close name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pg) enum Target {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

/// A message of an open connection.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::pg) enum FrontendMessage {
    /// An answer in an authentication exchange, not yet read.
    Authentication(Bytes),
    /// Statements of the simple protocol.
    Query(String),
    /// Prepares a statement. Types are OIDs, 0 for unspecified.
    Parse {
        name: String,
        query: String,
        types: Vec<u32>,
    },
    /// Binds values to a prepared statement.
    Bind {
        portal: String,
        statement: String,
        parameter_formats: Vec<i16>,
        parameters: Vec<Option<Bytes>>,
        result_formats: Vec<i16>,
    },
    /// Asks what a statement or portal takes and gives.
    Describe { target: Target, name: String },
    /// Runs a portal for at most so many rows; 0 for all.
    Execute { portal: String, max_rows: u32 },
    /// Drops a statement or portal.
    Close { target: Target, name: String },
    /// Asks for what has gathered.
    Flush,
    /// Ends a series of extended messages.
    Sync,
    /// Says goodbye.
    Terminate,
    /// A call of the obsolete function interface.
    FunctionCall,
    /// A COPY message; PostgreSQL ignores those that come outside of COPY.
    Copy,
    /// A Query or Parse whose text is not UTF-8.
    NotUtf8 { extended: bool },
}

impl Opening {
    const PROTOCOL_MAJOR: u16 = 3;
    const CANCEL: i32 = 80_877_102;
    const TLS: i32 = 80_877_103;
    const GSS: i32 = 80_877_104;

    /// Reads the packet after its length.
    pub(in crate::pg) fn parse(body: &[u8]) -> Result<Self, PgError> {
        let mut body = Body(Bytes::copy_from_slice(body));
        let code = body.i32()?;
        match code {
            Self::TLS => return Ok(Self::Tls),
            Self::GSS => return Ok(Self::Gss),
            Self::CANCEL => {
                let pid = body.i32()?;
                // 4 bytes in protocol 3.0, up to 256 in 3.2.
                return match body.0.len() {
                    4..=256 => Ok(Self::Cancel {
                        pid,
                        secret: body.0.to_vec(),
                    }),
                    _ => Err(PgError::protocol("invalid length of query cancel packet")),
                };
            }
            _ => {}
        }
        let (major, minor) = ((code >> 16) as u16, code as u16);
        if major != Self::PROTOCOL_MAJOR {
            return Err(PgError::fatal(
                "0A000",
                format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2"),
            ));
        }
        let mut parameters = Vec::new();
        loop {
            let name = body.text()?;
            if name.is_empty() {
                return Ok(Self::Startup { minor, parameters });
            }
            parameters.push((name, body.text()?));
        }
    }
}

impl FrontendMessage {
    /// Reads a message by its type byte. Trailing bytes are refused, as they mean that the two sides disagree.
    pub(in crate::pg) fn parse(kind: u8, body: Bytes) -> Result<Self, PgError> {
        let mut body = Body(body);
        let message = match kind {
            b'p' => return Ok(Self::Authentication(body.0)),
            b'd' | b'c' | b'f' => return Ok(Self::Copy),
            b'F' => return Ok(Self::FunctionCall),
            b'Q' => match body.maybe_text()? {
                Some(query) => Self::Query(query),
                None => return Ok(Self::NotUtf8 { extended: false }),
            },
            b'P' => {
                let (name, query) = (body.maybe_text()?, body.maybe_text()?);
                let types = body.list(|body| body.i32().map(i32::cast_unsigned))?;
                match (name, query) {
                    (Some(name), Some(query)) => Self::Parse { name, query, types },
                    _ => return Ok(Self::NotUtf8 { extended: true }),
                }
            }
            b'B' => Self::Bind {
                portal: body.text()?,
                statement: body.text()?,
                parameter_formats: body.list(Body::i16)?,
                parameters: body.list(Body::value)?,
                result_formats: body.list(Body::i16)?,
            },
            b'D' => Self::Describe {
                target: body.target()?,
                name: body.text()?,
            },
            b'C' => Self::Close {
                target: body.target()?,
                name: body.text()?,
            },
            b'E' => Self::Execute {
                portal: body.text()?,
                // A negative limit means none, as in PostgreSQL.
                max_rows: u32::try_from(body.i32()?).unwrap_or(0),
            },
            b'H' => Self::Flush,
            b'S' => Self::Sync,
            b'X' => Self::Terminate,
            _ => return Err(PgError::protocol(format!("invalid frontend message type {kind}"))),
        };
        if body.0.is_empty() {
            Ok(message)
        } else {
            Err(malformed())
        }
    }
}

/// Reads SASLInitialResponse: the mechanism and the client's first message.
pub(in crate::pg) fn parse_sasl_initial(body: Bytes) -> Result<(String, Bytes), PgError> {
    let mut body = Body(body);
    let mechanism = body.text()?;
    let first = body.value()?.unwrap_or_default();
    if body.0.is_empty() {
        Ok((mechanism, first))
    } else {
        Err(malformed())
    }
}

fn malformed() -> PgError {
    PgError::protocol("invalid message format")
}

/// What is left of a message. Values are slices of it, not copies.
struct Body(Bytes);

impl Body {
    fn i16(&mut self) -> Result<i16, PgError> {
        self.0.try_get_i16().map_err(|_| malformed())
    }

    fn i32(&mut self) -> Result<i32, PgError> {
        self.0.try_get_i32().map_err(|_| malformed())
    }

    fn target(&mut self) -> Result<Target, PgError> {
        match self.0.try_get_u8() {
            Ok(b'S') => Ok(Target::Statement),
            Ok(b'P') => Ok(Target::Portal),
            _ => Err(malformed()),
        }
    }

    /// A zero-terminated text; `None` if it is not UTF-8.
    fn maybe_text(&mut self) -> Result<Option<String>, PgError> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(malformed)?;
        let text = self.0.split_to(end);
        self.0.advance(1);
        Ok(String::from_utf8(text.to_vec()).ok())
    }

    /// A zero-terminated text.
    fn text(&mut self) -> Result<String, PgError> {
        self.maybe_text()?
            .ok_or_else(|| PgError::fatal("22021", "invalid byte sequence for encoding \"UTF8\""))
    }

    /// A value with its length before it; `None` for NULL.
    fn value(&mut self) -> Result<Option<Bytes>, PgError> {
        let length = self.i32()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| malformed())?;
        if length > self.0.len() {
            return Err(malformed());
        }
        Ok(Some(self.0.split_to(length)))
    }

    /// A list with its count before it. Nothing is reserved on the count's word.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, PgError>) -> Result<Vec<T>, PgError> {
        let count = self.i16()?.cast_unsigned();
        (0..count).map(|_| item(self)).collect()
    }
}

#[cfg(test)]
mod tests;
