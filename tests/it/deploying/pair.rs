//! Two gateways, the Redis that they share and nginx in front of them, by the files of the compose file.

use std::time::Duration;

use serde_json::json;

use crate::documents::source::{read, typed};
use crate::real_proxies::{free_port, nginx};
use crate::world::program::Program;
use crate::world::wire::PATIENCE;
use crate::world::{Browser, Engine, Gateway, World};

/// How long nginx leaves a gateway alone that took no connection: more than `fail_timeout`, in whole seconds.
const LEFT_ALONE: Duration = Duration::from_millis(2500);

/// They, before one app.
pub struct Pair {
    gateways: Vec<Gateway>,
    front: World,
    engine: Engine,
    _nginx: Program,
    _redis: Program,
}

impl Pair {
    /// In front of this app; the provider tells them of sign-outs. `lines` follow the app's table.
    pub async fn before(engine: Engine, upstream: &str, lines: &str) -> Self {
        let front = World::new();
        let (redis, session) = redis(&front).await;
        let told = json!({"backchannel_logout_uri": format!("{}/_sso/backchannel-logout", front.origin())});
        let config = String::from("[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n")
            + &session
            + &engine.client(&front, "school", told, "")
            + &front.app_at("lms", &front.origin(), upstream)
            + lines;
        let mut gateways = Vec::new();
        for _ in 0..2 {
            gateways.push(World::new().start(&config).await.ready().await);
        }
        // As it is, but for the addresses, and without TLS: the provider would have to trust the certificate.
        let site = read("deploy/compose/nginx.conf")
            .replace("172.31.80.11:4180", &gateways[0].address().to_string())
            .replace("172.31.80.12:4180", &gateways[1].address().to_string())
            .replace("listen 443 ssl;", &format!("listen {};", front.address()));
        let lines = site.lines().filter(|line| !line.contains("ssl_certificate"));
        let site: String = lines.map(|line| format!("{line}\n")).collect();
        let nginx = nginx(&front.dir.path().join("nginx"), &site);
        let there = async {
            while tokio::net::TcpStream::connect(front.address()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, there).await.expect("nginx listens");
        Self { gateways, front, engine, _nginx: nginx, _redis: redis }
    }

    /// The address of this path as browsers know it.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.front.origin())
    }

    /// Kills one of the two, as a power cut would; the next time it is the other one.
    pub async fn kill_one(&mut self) -> World {
        self.gateways.remove(0).kill().await
    }

    /// Starts it again, and waits until nginx asks it again.
    pub async fn revive(&mut self, world: World) {
        self.gateways.push(world.restart().await.ready().await);
        tokio::time::sleep(LEFT_ALONE).await;
    }

    /// Where people sign out at the provider.
    pub async fn sign_out_at_the_provider(&self) -> String {
        let document = format!("{}/.well-known/openid-configuration", self.engine.issuer);
        let document = Browser::new().get(&document).await.json();
        document["end_session_endpoint"].as_str().unwrap().to_owned()
    }
}

/// Redis, and the gateways' `[session]` for it.
async fn redis(world: &World) -> (Program, String) {
    let (port, password, dir) = (free_port(), "a-password", world.dir.path());
    let users = dir.join("redis-users.acl");
    std::fs::write(&users, read("deploy/compose/redis-users.example").replace("change-me", password))
        .unwrap();
    let config = read("deploy/compose/redis.conf")
        .replace("/run/secrets/redis-users.acl", users.to_str().unwrap())
        .replace("/data", dir.to_str().unwrap());
    let file = dir.join("redis.conf");
    std::fs::write(&file, format!("{config}\nport {port}\nbind 127.0.0.1\n")).unwrap();
    let redis = Program::start("redis-server", |command| {
        command.arg(file);
    });
    redis.listens_on(port).await;
    let key = typed(dir, &["keygen"]);
    let session = format!(
        "[session]\nstore = \"redis://127.0.0.1:{port}\"\nkeys = [{:?}]\n\
         [session.redis]\nusername = \"vestibule\"\npassword = {password:?}\n",
        key.trim()
    );
    (redis, session)
}
