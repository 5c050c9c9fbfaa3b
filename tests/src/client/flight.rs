//! A Flight SQL client: arrow-flight's own, with prepared statements.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightInfo, Ticket};
use async_trait::async_trait;
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};

use super::{Answer, Client, Param, Refusal, Way};
use crate::render;

/// The response metadata in which the server puts the SQLSTATE.
const SQLSTATE_KEY: &str = "x-farthing-sqlstate";

/// A session.
pub struct FlightSql {
    /// The client itself, for what the interface does not cover.
    pub client: FlightSqlServiceClient<Channel>,
}

impl FlightSql {
    /// Logs in.
    pub async fn connect(address: std::net::SocketAddr, user: &str, password: &str) -> Result<Self, Refusal> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.connect().await.map_err(Refusal::unknown)?;
        let mut client = FlightSqlServiceClient::new(channel);
        client.handshake(user, password).await.map_err(Refusal::unknown)?;
        Ok(Self { client })
    }

    /// Redeems the only ticket of an answer.
    pub async fn redeem(&mut self, info: FlightInfo) -> Result<(SchemaRef, Vec<RecordBatch>), Refusal> {
        // No schema is what statements without rows announce.
        let announced = match info.schema.is_empty() {
            true => Arc::new(Schema::empty()),
            false => Arc::new(Schema::try_from(info.clone()).map_err(Refusal::unknown)?),
        };
        let [endpoint] = info.endpoint.as_slice() else {
            panic!("one endpoint is expected, not {}", info.endpoint.len())
        };
        let ticket: Ticket = endpoint.ticket.clone().unwrap();
        let mut stream = self.client.do_get(ticket).await.map_err(|error| refusal(&error))?;
        let mut batches = Vec::new();
        while let Some(batch) = stream.try_next().await.map_err(|error| refusal(&error))? {
            batches.push(batch);
        }
        if !announced.fields().is_empty() {
            assert_eq!(stream.schema(), Some(&announced), "the stream has the announced schema");
        }
        Ok((announced, batches))
    }
}

/// The refusal that a Flight error is.
pub fn refusal(error: &FlightError) -> Refusal {
    let FlightError::Tonic(status) = error else {
        return Refusal::unknown(error);
    };
    let sqlstate = status
        .metadata()
        .get(SQLSTATE_KEY)
        .and_then(|value| value.to_str().ok());
    Refusal {
        sqlstate: sqlstate.unwrap_or("?????").to_owned(),
        message: status.message().to_owned(),
    }
}

fn binding(schema: &Schema, params: &[Param]) -> RecordBatch {
    let columns: Vec<ArrayRef> = params
        .iter()
        .zip(schema.fields())
        .map(|(param, field)| {
            let array: ArrayRef = match param {
                Param::Text(text) => Arc::new(StringArray::from(vec![text.as_str()])),
                Param::Int(number) => Arc::new(Int64Array::from(vec![*number])),
                Param::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
                Param::Null => Arc::new(StringArray::from(vec![None::<&str>])),
            };
            cast(&array, field.data_type()).unwrap()
        })
        .collect();
    RecordBatch::try_new(Arc::new(schema.clone()), columns).unwrap()
}

#[async_trait]
impl Client for FlightSql {
    async fn run_with(&mut self, sql: &str, params: &[Param]) -> Result<Answer, Refusal> {
        let prepared = self.client.prepare(sql.to_owned(), None).await;
        let mut prepared = prepared.map_err(|error| refusal(&error))?;
        let schema = prepared.parameter_schema().unwrap().clone();
        assert_eq!(schema.fields().len(), params.len(), "parameters of {sql}");
        if !params.is_empty() {
            prepared.set_parameters(binding(&schema, params)).unwrap();
        }
        let promised = prepared.dataset_schema().unwrap().clone();
        let info = prepared.execute().await.map_err(|error| refusal(&error))?;
        let (schema, batches) = self.redeem(info).await?;
        if !promised.fields().is_empty() {
            assert_eq!(*schema, promised, "the rows have the prepared schema: {sql}");
        }
        prepared.close().await.map_err(|error| refusal(&error))?;
        Ok(render::answer(&schema, &batches))
    }

    fn way(&self) -> Way {
        Way::FlightSql
    }
}
