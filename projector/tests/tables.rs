//! What the sources say of the tables is what the database has.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_projector::Database;
use headwater_projector::queries::Reads;
use headwater_projector::server::PostgresServer;
use headwater_projector::tables;

/// Of each table each column: its type, and whether there may be no value.
type Schema = BTreeMap<String, BTreeMap<String, (String, bool)>>;

#[tokio::test]
async fn every_table_has_the_columns_that_its_file_lists_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(folder.path()).await.unwrap();
    Database::open(&server.url()).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let sql = "SELECT table_name::text, column_name::text, data_type::text, is_nullable = 'YES'
               FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
               WHERE table_schema = 'headwater' AND table_type = 'BASE TABLE' AND table_name <> 'refinery_schema_history'";
    let mut found = Schema::new();
    for row in client.query(sql, &[]).await.unwrap() {
        found.entry(row.get(0)).or_default().insert(row.get(1), (row.get(2), row.get(3)));
    }
    let mut listed = Schema::new();
    for table in tables::ALL {
        let columns = listed.entry(table.name.to_owned()).or_default();
        for column in table.columns {
            let of_column = (column.kind.sql().to_owned(), column.is_nullable);
            assert_eq!(columns.insert(column.name.to_owned(), of_column), None, "{}.{}", table.name, column.name);
        }
    }
    assert_eq!(listed, found);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_is_stopped_while_it_migrates_holds_nobody_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(folder.path()).await.unwrap();
    let database = Database::open(&server.url()).await.unwrap();
    let (mut client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let in_the_way = client.transaction().await.unwrap();
    in_the_way.batch_execute("LOCK TABLE headwater.refinery_schema_history").await.unwrap();
    let stopped = tokio::spawn({
        let database = database.clone();
        async move { database.migrate().await }
    });
    let waits = "SELECT FROM pg_locks WHERE NOT granted";
    while in_the_way.query(waits, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stopped.abort();
    assert!(stopped.await.unwrap_err().is_cancelled());
    in_the_way.commit().await.unwrap();

    let url = server.url();
    tokio::time::timeout(Duration::from_secs(30), Database::open(&url))
        .await
        .expect("nobody holds the lock any more")
        .unwrap();
    database.migrate().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_schema_that_lacks_a_migration_is_not_ready_to_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(folder.path()).await.unwrap();
    let reads = Reads::of(Database::open(&server.url()).await.unwrap());
    assert!(reads.are_ready().await.unwrap());
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("DELETE FROM headwater.refinery_schema_history WHERE version > 1").await.unwrap();
    assert!(!reads.are_ready().await.unwrap(), "the tables are there, and not all of their columns");
    server.stop().await.unwrap();
}
