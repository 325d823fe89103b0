//! The private Postgres: it starts, keeps its data, survives a crash, and leaves nothing behind.

use headwater_projector::server::PostgresServer;

async fn ask(url: &str, sql: &str) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client.query(sql, &[]).await
}

#[tokio::test]
async fn a_second_start_finds_the_data_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(folder.path()).await.unwrap();
    ask(&server.url(), "SELECT 1").await.unwrap();
    ask(&server.url(), "CREATE TABLE kept (n int)").await.unwrap();
    ask(&server.url(), "INSERT INTO kept VALUES (42)").await.unwrap();
    assert_eq!(ask(&server.url(), "SHOW fsync").await.unwrap()[0].get::<_, String>(0), "on");
    server.stop().await.unwrap();

    let mut server = PostgresServer::start(folder.path()).await.unwrap();
    ask(&server.url(), "INSERT INTO kept VALUES (43)").await.unwrap();
    let url = server.url();
    server.kill().await.unwrap();
    assert!(ask(&url, "SELECT 1").await.is_err());
    server.restart().await.unwrap();
    assert_eq!(server.url(), url);
    assert_eq!(ask(&url, "SELECT n FROM kept").await.unwrap().len(), 2);

    let pid = std::fs::read_to_string(folder.path().join("data/postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap().to_owned();
    assert!(std::path::Path::new("/proc").join(&pid).exists());
    drop(server);
    assert!(!std::path::Path::new("/proc").join(&pid).exists(), "the server outlived its owner");
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(folder.path()).await.unwrap();
    let url = server.url();
    let (before, after) = (url.split(':').take(2).collect::<Vec<_>>().join(":"), url.split('@').nth(1).unwrap());
    assert!(ask(&format!("{before}:guess@{after}"), "SELECT 1").await.is_err());
}
