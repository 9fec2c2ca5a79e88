//! A container of Azure Blob Storage.

use std::sync::Arc;

use object_store::azure::MicrosoftAzureBuilder;

use super::super::location::Location;
use super::Connected;

/// Connects to a container. It has no list of uploads: Azure drops the parts of an unfinished one by itself.
pub(super) fn connect(container: MicrosoftAzureBuilder, _: &Location) -> object_store::Result<Connected> {
    let store = container.build()?;
    Ok((Arc::new(store), None))
}
