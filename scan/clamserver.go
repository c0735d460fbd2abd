package scan

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// server is one daemon, as one client sees it.
type server struct {
	socket  string
	daemon  *daemon // nil: not ours
	session *session
}

// prepare lays out the folders of our daemons without starting them.
func (c *clamav) prepare(cfg ClamdConfig, builtin fs.FS) ([]*server, error) {
	daemons := cfg.Daemons
	if daemons == 0 {
		daemons = min(runtime.NumCPU(), 4)
	}
	if daemons < 0 {
		return nil, fmt.Errorf("clamd: %d daemons", daemons)
	}
	if cfg.Unpack != 0 && (cfg.Unpack < 16<<20 || cfg.Unpack > clamdUnpack) {
		return nil, fmt.Errorf("clamd: unpack %d is not between 16 and 4000 MiB", cfg.Unpack)
	}
	program, err := findClamd()
	if err != nil {
		return nil, err
	}
	owner, err := unprivileged(cfg.User)
	if err != nil {
		return nil, err
	}
	parent, unpack, err := c.room(cfg, int64(daemons))
	if err != nil {
		return nil, err
	}
	if c.tmp, err = newPrivateDir(parent, owner); err != nil {
		return nil, err
	}
	if c.dir, err = newPrivateDir(os.TempDir(), owner); err != nil {
		return nil, err
	}
	signatures, err := c.dir.sub("db", 0o755, nil)
	if err != nil {
		return nil, err
	}
	if c.defs, err = installSignatures(signatures, builtin, cfg.Definitions); err != nil {
		return nil, err
	}
	var servers []*server
	for i := range daemons {
		d := &daemon{
			program: program, owner: owner,
			socket: filepath.Join(c.dir.path, fmt.Sprintf("clamd%d.sock", i)),
			conf:   filepath.Join(c.dir.path, fmt.Sprintf("clamd%d.conf", i)),
		}
		if d.tmp, err = c.tmp.sub(fmt.Sprint(i), 0o700, owner); err != nil {
			return nil, err
		}
		// clamd must give up before we give up on it.
		conf := clamdConf(d.socket, signatures, d.tmp, unpack, c.limit*4/5)
		if err := os.WriteFile(d.conf, []byte(conf), 0o644); err != nil {
			return nil, fmt.Errorf("clamd: %w", err)
		}
		servers = append(servers, &server{socket: d.socket, daemon: d})
	}
	return servers, nil
}

// room chooses where daemons unpack and how much: what is configured, or as
// much as there is room for. Less makes more content unscannable, never clean.
func (c *clamav) room(cfg ClamdConfig, daemons int64) (parent string, unpack int64, err error) {
	limits := []int64{clamdUnpack, 2000 << 20, 1000 << 20, 500 << 20, 250 << 20}
	if cfg.Unpack != 0 {
		limits = []int64{cfg.Unpack}
	}
	largest := c.largest
	for _, unpack = range limits {
		// One stream at a time, see Scan; so only one daemon holds a stream.
		c.largest = min(largest, unpack)
		c.need = daemons*unpack + c.largest
		c.margin = unpack + c.largest
		if parent, err = chooseTemporary(cfg.Temporary, c.need); err == nil {
			break
		}
	}
	if err == nil && cfg.Unpack == 0 && unpack < clamdUnpack {
		c.log.Warn("little room to unpack: larger content will be unscannable", "folder", parent, "MiB", unpack>>20)
	}
	return parent, unpack, err
}

// identify asks the daemons who they are; they must be the same.
func (c *clamav) identify(servers []*server) error {
	for i, s := range servers {
		v, err := clamdVersion(s.socket)
		if err != nil {
			return err
		}
		if i > 0 && v != c.defs.Version {
			return fmt.Errorf("clamd: the daemons differ: %q and %q", c.defs.Version, v)
		}
		c.defs.Version = v
	}
	if c.dir == nil {
		// What a daemon of others loaded is known by its own word only.
		c.defs.Engine = clamdName
		c.defs.Digest = sha256.Sum256([]byte(c.defs.Version))
		if i := strings.LastIndexByte(c.defs.Version, '/'); i >= 0 {
			if t, err := time.Parse(time.ANSIC, c.defs.Version[i+1:]); err == nil {
				c.defs.Newest = t.UTC()
			}
		}
	}
	return nil
}

// ready makes s fit to be asked: running, reached and proven.
func (s *server) ready(ctx context.Context) error {
	if s.daemon != nil && !s.daemon.alive() {
		s.drop()
		if err := s.daemon.start(ctx); err != nil {
			return err
		}
	}
	if s.session != nil && !s.session.stale() {
		return nil
	}
	s.session.close()
	s.session = nil
	fresh, err := dial(ctx, s.socket)
	if err != nil {
		return err
	}
	stop, err := fresh.bound(ctx, time.Minute)
	if err == nil {
		defer stop()
		err = probe(fresh)
	}
	if err != nil {
		fresh.close()
		return err
	}
	s.session = fresh
	return nil
}

// drop gives s up in its present state; ready brings it back. A daemon of ours
// that failed may still be at work on what made it fail, so it is killed.
func (s *server) drop() {
	s.session.close()
	s.session = nil
	if s.daemon != nil {
		s.daemon.kill()
	}
}
