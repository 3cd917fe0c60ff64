package facts

import (
	"context"
	"fmt"
	"net"
	"path"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const maxPGClusters = 20 // of one host

// Postgres is the PostgreSQL servers of the host: their configuration files, and what the running server says.
type Postgres struct {
	Installed bool        `cel:"installed"`
	Clusters  []PGCluster `cel:"clusters"`
	Rules     []HBARule   `cel:"rules"` // of pg_hba.conf, in their order
	// Roles are those of the running server that the audit reaches.
	Roles []PGRole `cel:"roles"`
	// Running are settings of that server: listen_addresses, port, ssl, password_encryption, hba_file, with the file and line
	// that it took them from.
	Running map[string]Setting `cel:"running"`
	Origin  string             `cel:"origin"`
}

// PGCluster is one server by its files: postgresql.conf, what it includes, and postgresql.auto.conf, which wins.
type PGCluster struct {
	Name            string  `cel:"name"` // 15/main
	ListenAddresses Setting `cel:"listen_addresses"`
	// Loopback says that the server takes connections of its own host only.
	Loopback           bool    `cel:"loopback"`
	Port               Setting `cel:"port"`
	SSL                Setting `cel:"ssl"`
	PasswordEncryption Setting `cel:"password_encryption"`
	Origin             string  `cel:"origin"`

	socket string
}

// PGRole is an account of the server.
type PGRole struct {
	Name        string `cel:"name"`
	Login       bool   `cel:"login"`
	Super       bool   `cel:"super"`
	CreateRole  bool   `cel:"create_role"`
	CreateDB    bool   `cel:"create_db"`
	Replication bool   `cel:"replication"`
	BypassRLS   bool   `cel:"bypass_rls"`
	// Files says that it is in one of the roles that read or write the server's files or run its programs.
	Files bool `cel:"files"`
	// Password is how it is kept: none, scram-sha-256, md5, plain.
	Password string `cel:"password"`
	Origin   string `cel:"origin"`
}

func collectPostgres(ctx context.Context, h *Host, t Target) (Postgres, []Missing) {
	ctx, cancel := context.WithDeadline(ctx, t.deadline(ctx))
	defer cancel()
	p := Postgres{Origin: "postgresql.conf"}
	var lost []Missing
	reader := &clusterReader{h: h}
	reader.all()
	p.Clusters, p.Rules = reader.clusters, reader.rules
	shadow(p.Rules)
	programs, err := h.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return p, missing("%s", because(err))
	}
	p.Installed = len(programs) > 0 || len(p.Clusters) > 0 || t.PostgreSQL.Socket != "" || h.Look("/usr/bin/postgres", "/usr/local/bin/postgres") != ""
	if len(reader.lostConfig) > 0 {
		lost = append(lost, Missing{"clusters", oneReason(reader.lostConfig)})
	}
	if len(reader.lostRules) > 0 {
		lost = append(lost, Missing{"rules", oneReason(reader.lostRules)})
	}
	reason := ErrNotLive.Error()
	if !p.Installed {
		reason = "there is no PostgreSQL server"
	} else if h.Live() {
		err := p.ask(ctx, h, t.PostgreSQL)
		if err == nil {
			return p, lost
		}
		reason = because(err)
	}
	return p, append(lost, Missing{"roles", reason}, Missing{"running", reason})
}

// clusterReader finds and reads the clusters' files.
type clusterReader struct {
	h                     *Host
	clusters              []PGCluster
	rules                 []HBARule
	lostConfig, lostRules []string
}

// all reads the clusters of Debian (/etc/postgresql/VERSION/NAME) and of Red Hat (/var/lib/pgsql).
func (c *clusterReader) all() {
	for _, pattern := range []string{"/etc/postgresql/*/*/postgresql.conf", "/var/lib/pgsql/data/postgresql.conf", "/var/lib/pgsql/*/data/postgresql.conf"} {
		files, err := c.h.Glob(pattern)
		if err != nil {
			c.lostConfig = append(c.lostConfig, because(err))
			continue
		}
		for _, name := range files {
			if len(c.clusters) == maxPGClusters {
				c.lostConfig = append(c.lostConfig, fmt.Sprintf("there are more than %d clusters", maxPGClusters))
				return
			}
			c.one(name)
		}
	}
}

func (c *clusterReader) one(name string) {
	r := &pgReader{h: c.h, values: map[string]Setting{}}
	r.file(name, true, 0)
	data := r.values["data_directory"].Value
	if data == "" {
		data = path.Dir(name)
	}
	r.file(path.Join(data, "postgresql.auto.conf"), false, 0) // what ALTER SYSTEM wrote wins
	get := func(key, usual string) Setting {
		if s, ok := r.values[key]; ok {
			return s
		}
		return Setting{usual, "default"}
	}
	cluster := PGCluster{Name: strings.TrimPrefix(path.Dir(name), "/etc/postgresql/"), Origin: name,
		ListenAddresses: get("listen_addresses", "localhost"), Port: get("port", "5432"), SSL: get("ssl", "off"),
		PasswordEncryption: get("password_encryption", "scram-sha-256"), socket: get("unix_socket_directories", "").Value}
	cluster.Loopback = onlyLoopback(cluster.ListenAddresses.Value)
	c.clusters = append(c.clusters, cluster)
	c.lostConfig = append(c.lostConfig, r.lost...)
	hba := &hbaReader{h: c.h, cluster: cluster.Name}
	hba.file(get("hba_file", path.Join(data, "pg_hba.conf")).Value, 0)
	c.rules = append(c.rules, hba.rules...)
	c.lostRules = append(c.lostRules, hba.lost...)
}

// onlyLoopback says whether all addresses of a list, which may be empty, are the host itself.
func onlyLoopback(list string) bool {
	for address := range strings.SplitSeq(list, ",") {
		address = strings.TrimSpace(address)
		ip := net.ParseIP(address)
		if address != "" && address != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

// ask reads roles and settings of the running server. It writes nothing.
func (p *Postgres) ask(ctx context.Context, h *Host, d Database) error {
	conn, err := openPostgres(ctx, h, d, p.Clusters, "postgres")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT r.rolname, r.rolcanlogin, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls,
		r.rolsuper OR pg_has_role(r.oid, 'pg_read_server_files', 'MEMBER') OR pg_has_role(r.oid, 'pg_write_server_files', 'MEMBER')
		OR pg_has_role(r.oid, 'pg_execute_server_program', 'MEMBER'),
		CASE WHEN a.rolpassword IS NULL THEN 'none' WHEN a.rolpassword LIKE 'SCRAM-SHA-256$%' THEN 'scram-sha-256'
		WHEN a.rolpassword LIKE 'md5%' THEN 'md5' ELSE 'plain' END
		FROM pg_catalog.pg_roles r JOIN pg_catalog.pg_authid a ON a.oid = r.oid WHERE r.rolname NOT LIKE 'pg\_%' LIMIT $1`, maxDatabaseUsers)
	if err != nil {
		return fmt.Errorf("ask PostgreSQL for its roles: %w", err)
	}
	p.Roles, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (PGRole, error) {
		r := PGRole{Origin: "pg_roles"}
		return r, row.Scan(&r.Name, &r.Login, &r.Super, &r.CreateRole, &r.CreateDB, &r.Replication, &r.BypassRLS, &r.Files, &r.Password)
	})
	if err != nil {
		return fmt.Errorf("ask PostgreSQL for its roles: %w", err)
	}
	if len(p.Roles) == maxDatabaseUsers {
		return fmt.Errorf("PostgreSQL has %d or more roles", maxDatabaseUsers)
	}
	rows, err = conn.Query(ctx, `SELECT name, setting, COALESCE(sourcefile || ':' || sourceline, source) FROM pg_catalog.pg_settings
		WHERE name IN ('listen_addresses', 'port', 'ssl', 'password_encryption', 'hba_file', 'log_connections')`)
	if err != nil {
		return fmt.Errorf("ask PostgreSQL for its settings: %w", err)
	}
	p.Running = map[string]Setting{}
	var name string
	var s Setting
	_, err = pgx.ForEachRow(rows, []any{&name, &s.Value, &s.Origin}, func() error {
		p.Running[name] = s
		return nil
	})
	if err != nil {
		return fmt.Errorf("ask PostgreSQL for its settings: %w", err)
	}
	return nil
}

// openPostgres connects to a database of the server.
func openPostgres(ctx context.Context, h *Host, d Database, clusters []PGCluster, database string) (*pgx.Conn, error) {
	config, err := postgresConfig(h, d, clusters, database)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return conn, nil
}

// postgresConfig says how to connect over the server's socket: as the account of the system that has the role's name where
// we are root and have no password, which is how PostgreSQL knows its administrator (peer).
func postgresConfig(h *Host, d Database, clusters []PGCluster, database string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	config.Host, config.Port, config.User, config.Database, config.Password = d.Socket, uint16(d.Port), d.User, database, ""
	config.Fallbacks, config.ConnectTimeout = nil, 2*time.Second
	config.RuntimeParams = map[string]string{"application_name": "doorward audit", "default_transaction_read_only": "on"}
	if len(clusters) > 0 && config.Host == "" {
		config.Host, _, _ = strings.Cut(clusters[0].socket, ",")
	}
	if len(clusters) > 0 && config.Port == 0 {
		if _, err := fmt.Sscan(clusters[0].Port.Value, &config.Port); err != nil {
			return nil, fmt.Errorf("port %q is no number", clusters[0].Port.Value)
		}
	}
	if config.Host == "" {
		config.Host = "/run/postgresql"
	}
	if config.Port == 0 {
		config.Port = 5432
	}
	if config.User == "" {
		config.User = "postgres"
	}
	if d.PasswordFile != "" {
		secret, err := h.ReadFile(d.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		config.Password = strings.TrimRight(string(secret), "\r\n")
	} else if who, err := identityOf(h, config.User); err == nil && syscall.Geteuid() == 0 {
		config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialAs(ctx, int(who.uid), network, address)
		}
	}
	return config, nil
}

// dialAs connects with another account's id, which the server asks the kernel for. Only this thread changes its id; one
// that could not change back ends with its goroutine.
func dialAs(ctx context.Context, uid int, network, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		keep := ^uintptr(0)
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
			runtime.UnlockOSThread()
			done <- result{nil, errno}
			return
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, 0, keep); errno == 0 {
			runtime.UnlockOSThread()
		}
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}
