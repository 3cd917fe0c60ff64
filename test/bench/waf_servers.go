package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
)

// The servers. Doorward is measured with each of its rule sets and with none.
const (
	serverModSecurity = "nginx+ModSecurity"
	serverNginx       = "nginx alone"
	serverCRS         = "Doorward, crs"
	serverOwn         = "Doorward, doorward"
	serverOff         = "Doorward, off"
)

func wafServers() []string {
	return []string{serverModSecurity, serverCRS, serverOwn, serverNginx, serverOff}
}

// wafBench is one comparison of firewalls.
type wafBench struct {
	*bench
	traffic   *traffic
	modules   string   // folder with nginx's ModSecurity module
	libraries string   // folder with its libraries; empty: the system's
	versions  []string // of the packages
	upstream  *http.Server
	servers   map[string]*process
	loaders   map[string]*loader
}

// modSecurityPackages are unpacked into the run's own folder where the module is not installed: nothing of the machine's nginx changes.
func modSecurityPackages() []string {
	return []string{"libnginx-mod-http-modsecurity", "libmodsecurity3", "libgeoip1", "libmaxminddb0", "libfuzzy2", "libyajl2"}
}

const (
	nginxModules = "usr/lib/nginx/modules"
	moduleFile   = "ngx_http_modsecurity_module.so"
)

// unpackModSecurity finds the module, or fetches and unpacks it.
func (w *wafBench) unpackModSecurity(ctx context.Context) error {
	w.modules = "/" + nginxModules
	if _, err := os.Stat(filepath.Join(w.modules, moduleFile)); err == nil {
		return nil
	}
	debs, root := w.file("debs"), w.file("root")
	if err := os.Mkdir(debs, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"download"}, modSecurityPackages()...)...)
	cmd.Dir = debs
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get download: %w: update apt's lists, or install libnginx-mod-http-modsecurity\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", file, root).CombinedOutput(); err != nil {
			return fmt.Errorf("unpack %s: %w\n%s", file, err, out)
		}
		if name, version, _ := strings.Cut(filepath.Base(file), "_"); strings.Contains(name, "modsecurity") {
			version, _, _ = strings.Cut(version, "_")
			w.versions = append(w.versions, name+" "+version)
		}
	}
	w.modules = filepath.Join(root, nginxModules)
	found, err := filepath.Glob(filepath.Join(root, "usr/lib/*/libmodsecurity.so.3"))
	if err != nil || len(found) == 0 {
		return fmt.Errorf("the packages hold no libmodsecurity.so.3: %w", err)
	}
	w.libraries = filepath.Dir(found[0])
	return nil
}

// writeRules writes the rules that are embedded in Doorward as files for ModSecurity. No rule is changed: its parser needs an empty
// line between two directives, takes no @ in a file's name, and refuses one directive that its third version has no use for.
func (w *wafBench) writeRules() (string, error) {
	dir := w.file("rules")
	err := fs.WalkDir(coreruleset.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(path, "@")))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		data, err := fs.ReadFile(coreruleset.FS, path)
		if err != nil {
			return err
		}
		if !strings.HasSuffix(path, ".data") {
			data = spaceDirectives(data)
		}
		return os.WriteFile(to, data, 0o644)
	})
	if err != nil {
		return "", err
	}
	all := filepath.Join(dir, "all.conf")
	text := fmt.Sprintf("Include %[1]s/coraza.conf-recommended\nInclude %[1]s/crs-setup.conf.example\nInclude %[1]s/owasp_crs/*.conf\n"+
		"SecRuleEngine On\nSecAuditEngine Off\n", dir)
	return all, os.WriteFile(all, []byte(text), 0o644)
}

func spaceDirectives(data []byte) []byte {
	var out []byte
	continued := false
	for line := range bytes.Lines(data) {
		trimmed := bytes.TrimSpace(line)
		if bytes.HasPrefix(trimmed, []byte("SecRequestBodyInMemoryLimit")) {
			continue
		}
		if !continued && bytes.HasPrefix(trimmed, []byte("Sec")) {
			out = append(out, '\n')
		}
		out = append(out, line...)
		continued = bytes.HasSuffix(trimmed, []byte(`\`))
	}
	return out
}

// wafNginxConfig is a proxy that holds bodies of 2 MB and answers of 256 KB in memory, so that it writes none to the disk.
const wafNginxConfig = `
%[5]s
daemon off; master_process on; worker_processes auto; pid %[1]s/%[2]s.pid; error_log %[1]s/%[2]s.error.log;
events { worker_connections 1024; }
http {
	access_log %[1]s/%[2]s.access.log;
	keepalive_requests 10000000; client_max_body_size 16m; client_body_buffer_size 2m; proxy_buffers 32 8k;
	client_body_temp_path %[1]s/%[2]s-body; proxy_temp_path %[1]s/%[2]s-proxy; fastcgi_temp_path %[1]s/%[2]s-f;
	uwsgi_temp_path %[1]s/%[2]s-u; scgi_temp_path %[1]s/%[2]s-s;
	upstream app { server %[4]s; keepalive 64; keepalive_requests 10000000; }
	server { listen %[3]s; %[6]s
		location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; } }
}
`

// wafDoorwardConfig is a public site with no limits that the load would reach, and the limits of the recommended rules.
const wafDoorwardConfig = `
data_dir: %[1]s/data
listen: {https: [], http: [], plain: ["%[2]s"]}
console: {listen: ["%[3]s"]}
limits: {requests_per_second: 1000000, burst: 1000000}
waf: {rules: %[4]s}
sites:
`

const wafSiteConfig = `
  - hosts: [%[1]s]
    upstreams: ["http://%[2]s"]
    app: generic
    access: [{path: /, public: true}]
    waf: {mode: %[3]s, answers: %[3]s%[4]s}
`

// wafLimits are those of the recommended rules: 12.5 MiB of a request, 512 KiB of an answer.
const wafLimits = ", body_limit: 13107200, answer_limit: 512KiB"

// slug names a server's files and its port.
func slug(server string) string {
	return strings.NewReplacer(" ", "-", ",", "", "+", "-").Replace(strings.ToLower(server))
}

// start starts one of the servers and returns its CPU time when it is ready.
func (w *wafBench) start(ctx context.Context, server string) (time.Duration, error) {
	name, address := slug(server), w.address(slug(server))
	dir := w.file(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	var args []string
	var err error
	switch server {
	case serverModSecurity, serverNginx:
		args, err = w.nginxCommand(server, dir, address)
	default:
		rules := map[string]string{serverCRS: "crs", serverOwn: "doorward", serverOff: "crs"}[server]
		args, err = w.doorwardCommand(dir, address, rules, 1, server == serverOff)
	}
	if err != nil {
		return 0, err
	}
	p, err := startProcess(ctx, server, address, args...)
	if err != nil {
		return 0, err
	}
	w.servers[server] = p
	w.loaders[server] = &loader{traffic: w.traffic, address: address}
	return p.cpu()
}

func (w *wafBench) nginxCommand(server, dir, address string) ([]string, error) {
	load, on := "", ""
	args := []string{"nginx", "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf")}
	if server == serverModSecurity {
		load = fmt.Sprintf("load_module %s;", filepath.Join(w.modules, moduleFile))
		on = fmt.Sprintf("modsecurity on; modsecurity_rules_file %s/all.conf;", w.file("rules"))
		if w.libraries != "" {
			args = append([]string{"env", "LD_LIBRARY_PATH=" + w.libraries}, args...)
		}
	}
	text := fmt.Sprintf(wafNginxConfig, dir, "nginx", address, w.address("upstream"), load, on)
	return args, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(text), 0o644)
}

// doorwardCommand writes the configuration of some sites with the same rules.
func (w *wafBench) doorwardCommand(dir, address, rules string, sites int, off bool) ([]string, error) {
	text := fmt.Sprintf(wafDoorwardConfig, dir, address, w.address("console-"+filepath.Base(dir)), rules)
	mode, limits := "block", wafLimits
	if off {
		mode, limits = "off", ""
	}
	for n := range sites {
		host := "localhost"
		if n > 0 {
			host = fmt.Sprintf("site-%d.localhost", n)
		}
		text += fmt.Sprintf(wafSiteConfig, host, w.address("upstream"), mode, limits)
	}
	file := filepath.Join(dir, "doorward.yaml")
	return []string{w.file("doorward"), "serve", "--config", file}, os.WriteFile(file, []byte(text), 0o600)
}

// stop ends one server.
func (w *wafBench) stop(server string) {
	if l := w.loaders[server]; l != nil {
		l.close()
	}
	if p := w.servers[server]; p != nil {
		p.stop()
	}
	delete(w.servers, server)
}

// serveUpstream serves the application in this program, so that its CPU time is no server's.
func (w *wafBench) serveUpstream() error {
	listener, err := net.Listen("tcp", w.address("upstream"))
	if err != nil {
		return err
	}
	w.upstream = &http.Server{Handler: newWAFUpstream(w.traffic), ReadHeaderTimeout: time.Minute}
	go func() { _ = w.upstream.Serve(listener) }()
	return nil
}
