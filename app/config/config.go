// Package config is what the two programs are told in files: one typed struct
// for each, read from strict TOML. An unknown key is an error, secrets are paths
// and never values, and relative paths are relative to the file.
//
// The commented examples kiosk.example.toml and gate.example.toml, which tests
// read, show every key with its default.
package config

import (
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"sekisho/scan"
	"sekisho/transfer/manifest"
)

// The commented examples, for a set-up to begin with.
var (
	//go:embed kiosk.example.toml
	KioskExample []byte
	//go:embed gate.example.toml
	GateExample []byte
)

// Engines says what searches files, on either side.
type Engines struct {
	Workers int   `toml:"workers"` // files scanned at a time; default 4
	Clamd   Clamd `toml:"clamd"`
	Yara    Yara  `toml:"yara"`
}

// Clamd says which ClamAV daemons to use.
type Clamd struct {
	Private     bool     `toml:"private"`      // start our own; else use sockets
	Daemons     int      `toml:"daemons"`      // private: how many; default one for each processor, at most 4
	Sockets     []string `toml:"sockets"`      // not private: unix sockets
	Definitions []string `toml:"definitions"`  // private: files or folders of .cvd, .ndb, … beside the demonstration set
	User        string   `toml:"user"`         // private: who runs it when we are root; default clamav
	UnpackMiB   int64    `toml:"unpack_mib"`   // private: what one file may unpack to; default 4000, less where there is no room
	TimeoutSecs int      `toml:"timeout_secs"` // for one file; default 300
}

// Yara says which rules to use beside the demonstration set.
type Yara struct {
	Rules       []string `toml:"rules"`        // files or folders
	TimeoutSecs int      `toml:"timeout_secs"` // for one file; default 120
}

// Limits bound memory and disk.
type Limits struct {
	MemoryMiB     int64  `toml:"memory_mib"`      // files held in memory at a time, all together; default 256
	MemoryFileMiB int64  `toml:"memory_file_mib"` // a larger file goes to the encrypted spool; default 64
	Spool         string `toml:"spool"`           // folder of the spool; default: below state
}

// at makes paths relative to the configuration file absolute.
type at string

// folderOf is the folder of the configuration file, absolute: the same place
// however the file was named.
func folderOf(path string) (at, error) {
	abs, err := filepath.Abs(path)
	return at(filepath.Dir(abs)), err
}

func (dir at) fix(paths ...*string) {
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(string(dir), *p)
		}
	}
}

func (dir at) fixAll(paths []string) {
	for i := range paths {
		dir.fix(&paths[i])
	}
}

// maxDays bounds every setting in days: a hundred years.
const maxDays = 36525

// The defaults are set before the file is read, so that a 0 in it stays one.
var (
	engines = Engines{Workers: 4, Clamd: Clamd{TimeoutSecs: 300}, Yara: Yara{TimeoutSecs: 120}}
	limits  = Limits{MemoryMiB: 256, MemoryFileMiB: 64}
)

func (e *Engines) fix(dir at) {
	dir.fixAll(e.Clamd.Sockets)
	dir.fixAll(e.Clamd.Definitions)
	dir.fixAll(e.Yara.Rules)
}

func (e *Engines) check() error {
	switch {
	case e.Workers < 1 || e.Workers > 64:
		return fmt.Errorf("engines.workers = %d is not between 1 and 64", e.Workers)
	case e.Clamd.Private == (len(e.Clamd.Sockets) > 0):
		return errors.New("engines.clamd: set either private = true or sockets")
	case e.Clamd.Daemons < 0 || e.Clamd.Daemons > 64:
		return fmt.Errorf("engines.clamd: daemons = %d is not between 0 and 64", e.Clamd.Daemons)
	case min(e.Clamd.TimeoutSecs, e.Yara.TimeoutSecs) < 1 || max(e.Clamd.TimeoutSecs, e.Yara.TimeoutSecs) > 24*60*60:
		return errors.New("engines: a timeout_secs is not between 1 second and a day")
	}
	return nil
}

// Scan gives the engines' settings in the scanner's own terms.
func (e *Engines) Scan() scan.Config {
	return scan.Config{
		Workers: e.Workers,
		Clamd: scan.ClamdConfig{Private: e.Clamd.Private, Daemons: e.Clamd.Daemons, Sockets: e.Clamd.Sockets,
			Definitions: e.Clamd.Definitions, User: e.Clamd.User, Unpack: e.Clamd.UnpackMiB << 20, ScanTimeout: time.Duration(e.Clamd.TimeoutSecs) * time.Second},
		Yara: scan.YaraConfig{Rules: e.Yara.Rules, Timeout: time.Duration(e.Yara.TimeoutSecs) * time.Second},
	}
}

func (l *Limits) fix(dir at, state string) {
	if l.Spool == "" {
		l.Spool = filepath.Join(state, "spool") // state is absolute by now
	}
	dir.fix(&l.Spool)
}

func (l *Limits) check() error {
	const largest = 1 << 20 // MiB; a size in bytes must not overflow
	if l.MemoryFileMiB < 1 || l.MemoryFileMiB > l.MemoryMiB/2 || l.MemoryMiB > largest {
		return errors.New("limits: memory_mib must be at least twice memory_file_mib, and less than a TiB")
	}
	return nil
}

// Spooling gives the limits in the spool's own terms.
func (l *Limits) Spooling() scan.SpoolOptions {
	return scan.SpoolOptions{Dir: l.Spool, Memory: l.MemoryMiB << 20, Largest: l.MemoryFileMiB << 20}
}

// digest identifies settings by their content.
func digest(v any) (manifest.Hash, error) {
	data, err := json.Marshal(v)
	return sha256.Sum256(data), err
}
