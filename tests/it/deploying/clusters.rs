//! Two gateways and more: the compose file and the manifests of Kubernetes.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::pair::Pair;
use super::{good, reads, tool};
use crate::documents::source::{read, root};
use crate::world::wire::PATIENCE;
use crate::world::{Ask, Browser, Engine, Server};

/// YAML as JSON, one value a document.
fn yaml(text: &str) -> Vec<Value> {
    use std::io::Write;
    let script = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)";
    let mut python = Command::new(tool("python"));
    let mut python =
        python.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How long the gateway takes to end, in seconds: `server.drain_timeout` and what the store may take.
const ENDING: u64 = 30 + 5;

#[test]
fn compose_reads_the_compose_file_and_the_gateways_share_what_they_must() {
    let file = root().join("deploy/compose/compose.yaml");
    let plugin = Command::new("docker").args(["compose", "version"]).output();
    let mut compose = if plugin.is_ok_and(|output| output.status.success()) {
        let mut docker = Command::new("docker");
        docker.arg("compose");
        docker
    } else {
        Command::new("docker-compose")
    };
    let read_back = good(compose.arg("-f").arg(&file).arg("config"));
    let compose = yaml(&read_back).remove(0);
    let services = &compose["services"];
    for gateway in ["gateway-1", "gateway-2"] {
        let service = &services[gateway];
        assert_eq!(service["stop_grace_period"], "40s");
        assert_eq!(service["read_only"], true);
        assert_eq!(service["cap_drop"][0], "ALL");
        assert_eq!(service["ports"], Value::Null, "only nginx is reached from outside");
    }
    assert_eq!(services["gateway-1"]["volumes"], services["gateway-2"]["volumes"]);
    assert_eq!(services["gateway-1"]["secrets"], services["gateway-2"]["secrets"]);
    for gateway in ["gateway-1", "gateway-2"] {
        let address = services[gateway]["networks"]["front"]["ipv4_address"].as_str().unwrap();
        assert!(read("deploy/compose/nginx.conf").contains(&format!("server {address}:4180 ")), "{gateway}");
    }
    assert_eq!(compose["networks"]["store"]["internal"], true);
    let nginx = services["nginx"]["networks"]["front"]["ipv4_address"].as_str().unwrap();
    assert!(read("deploy/compose/config.toml").contains(&format!("[\"{nginx}/32\"]")));
    // What is mounted is there, but for the secrets, which are nobody's but the operator's.
    for mount in
        read("deploy/compose/compose.yaml").lines().filter_map(|line| line.trim().strip_prefix("- ./"))
    {
        let (path, _) = mount.split_once(':').unwrap();
        assert!(root().join("deploy/compose").join(path).is_file(), "{path}");
    }
    reads("deploy/compose/config.toml", "/run/secrets");
}

#[test]
fn the_manifests_fit_the_schemas_of_kubernetes_and_each_other() {
    let rendered = good(Command::new("kubectl").arg("kustomize").arg(root().join("deploy/kubernetes")));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vestibule.yaml");
    std::fs::write(&file, &rendered).unwrap();
    for version in ["1.30", "1.33", "1.37"] {
        let mut validate = Command::new(tool("kubernetes-validate"));
        good(validate.args(["--strict", "--kubernetes-version", version]).arg(&file));
    }
    let resources = yaml(&rendered);
    let kind = |kind: &str| resources.iter().find(|resource| resource["kind"] == kind).unwrap();
    let (deployment, service) = (kind("Deployment"), kind("Service"));
    let (budget, policy) = (kind("PodDisruptionBudget"), kind("NetworkPolicy"));
    let pod = &deployment["spec"]["template"];
    let labels = &pod["metadata"]["labels"];
    assert!(labels.is_object());
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&service["spec"]["selector"], labels);
    assert_eq!(&budget["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&policy["spec"]["podSelector"]["matchLabels"], labels);
    assert!(deployment["spec"]["replicas"].as_u64().unwrap() >= 2);

    let spec = &pod["spec"];
    let container = &spec["containers"][0];
    let config = read("deploy/kubernetes/config.toml");
    for port in container["ports"].as_array().unwrap() {
        assert!(config.contains(&format!("\"0.0.0.0:{}\"", port["containerPort"])), "{port}");
    }
    for (probe, path) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], "admin");
    }
    let ports: Vec<&Value> =
        service["spec"]["ports"].as_array().unwrap().iter().map(|port| &port["targetPort"]).collect();
    assert_eq!(ports, ["http"], "the admin listener stands in no Service");
    let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    assert!(spec["terminationGracePeriodSeconds"].as_u64().unwrap() >= pause + ENDING);

    // The profile "restricted" of Kubernetes' pod security standards.
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let own = &container["securityContext"];
    assert_eq!(own["allowPrivilegeEscalation"], false);
    assert_eq!(own["readOnlyRootFilesystem"], true);
    assert_eq!(own["capabilities"]["drop"][0], "ALL");
    // The image's user; configuration and secrets are where the container looks for them.
    let user = spec["securityContext"]["runAsUser"].as_u64().unwrap();
    assert!(super::says("USER").starts_with(&format!("{user}:")));
    let mounted = |path: &str| {
        container["volumeMounts"].as_array().unwrap().iter().any(|mount| mount["mountPath"] == path)
    };
    assert!(super::says("CMD").contains("/etc/vestibule/config.toml") && mounted("/etc/vestibule"));
    assert!(config.contains("/run/secrets/vestibule/client-secret") && mounted("/run/secrets/vestibule"));
    reads("deploy/kubernetes/config.toml", "/run/secrets/vestibule");
}

#[tokio::test]
async fn who_is_signed_in_stays_so_while_each_gateway_is_killed_and_is_out_of_both_when_out_at_the_provider()
{
    let app = Server::start().await;
    let mut pair = Pair::before(Engine::trusted(), &app.origin(), "").await;
    let browser = Browser::new();
    browser.sign_in(&pair.url("/courses"), "ivanov").await.expect(200);
    for _ in 0..2 {
        let world = pair.kill_one().await;
        for _ in 0..4 {
            browser.get(&pair.url("/courses")).await.expect(200);
        }
        pair.revive(world).await;
    }
    for _ in 0..4 {
        browser.get(&pair.url("/courses")).await.expect(200);
    }
    let page = browser.get(&pair.sign_out_at_the_provider().await).await.expect(200);
    browser.submit(&page, page.form("op.logoutForm").fill("logout", "yes")).await.expect(200);
    let out = async {
        let mut refused = 0;
        // Often enough that nginx asks both.
        while refused < 4 {
            let status = browser.fetch(&pair.url("/courses")).await.status;
            refused = if status == 401 { refused + 1 } else { 0 };
        }
    };
    tokio::time::timeout(PATIENCE, out).await.expect("out at both gateways");
}

#[tokio::test]
async fn the_app_behind_nginx_is_told_how_the_browser_came_and_nothing_that_it_made_up() {
    let app = Server::start().await;
    let pair = Pair::before(Engine::trusted(), &app.origin(), "").await;
    let browser = Browser::new();
    browser.sign_in(&pair.url("/courses"), "ivanov").await.expect(200);
    let names = ["For", "Proto", "Host", "Port"].map(|name| format!("X-Forwarded-{name}"));
    let names = names.iter().map(String::as_str).chain(["X-Real-IP", "Forwarded"]);
    let ask = names.fold(Ask::new("GET", &pair.url("/told")), |ask, name| ask.header(name, "for=forged"));
    browser.send(ask).await.expect(200);
    let request = app.last();
    assert!(!String::from_utf8_lossy(&request.head.raw).contains("forged"), "{:?}", request.head);
    let url = url::Url::parse(&pair.url("/")).unwrap();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap().to_string());
    assert_eq!(request.header("x-forwarded-port"), Some(port.clone()));
    let forwarded = request.header("forwarded").unwrap();
    assert!(
        forwarded.starts_with(&format!("for=127.0.0.1;host=\"{host}:{port}\";proto=http, ")),
        "{forwarded}"
    );
}
