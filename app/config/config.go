// Package config is what the two programs are told in files: one typed struct
// for each, read from strict TOML. An unknown key is an error, secrets are paths
// and never values, and relative paths are relative to the file.
//
// The commented examples kiosk.example.toml and gate.example.toml, which tests
// read, show every key with its default.
package config

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

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

const maxFile = 1 << 20 // bytes

// read returns the bytes of a configuration file.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%q is no configuration: it is larger than %d bytes", path, maxFile)
	}
	return data, nil
}

// decode puts data, which path named, into v and refuses what v does not know.
func decode(path string, data []byte, v any) error {
	dec := toml.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		row, col := strict.Errors[0].Position()
		return fmt.Errorf("%s:%d:%d: unknown key %q", path, row, col, strings.Join(strict.Errors[0].Key(), "."))
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		row, col := decode.Position()
		return fmt.Errorf("%s:%d:%d: %s", path, row, col, plain(decode))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var keys map[string]any
	if err := toml.Unmarshal(data, &keys); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if key := misspelt(keys); key != "" {
		return fmt.Errorf("%s: unknown key %q: keys are written in lower case", path, key)
	}
	if key := zero(keys); key != "" {
		return fmt.Errorf("%s: %s = 0: leave the key out for its default; strict = true holds at the first file", path, key)
	}
	return nil
}

var mistyped = regexp.MustCompile(`cannot decode TOML (.+) into .*of type (\S+)$`)

// plain words a decoding error for someone who knows the file, not the code.
func plain(err *toml.DecodeError) string {
	text := strings.TrimPrefix(err.Error(), "toml: ")
	if m := mistyped.FindStringSubmatch(text); m != nil {
		want := map[string]string{"string": "text in quotes", "bool": "true or false", "int": "a whole number", "int64": "a whole number",
			"float64": "a number", "[]string": "a list of texts", "time.Time": "a time"}[m[2]]
		if want != "" {
			text = fmt.Sprintf("want %s, not TOML %s", want, m[1])
		}
	}
	if key := strings.Join(err.Key(), "."); key != "" {
		text = key + ": " + text
	}
	return text
}

// misspelt finds a key with an upper-case letter: the decoder takes it for the
// key in lower case, also beside one.
func misspelt(keys map[string]any) string {
	return find(keys, func(key string, _ any) bool { return key != strings.ToLower(key) })
}

// zero finds a threshold of a policy that is set to 0: package scan takes that
// for its default, which is not what was written.
func zero(keys map[string]any) string {
	return find(keys, func(key string, v any) bool {
		return strings.HasPrefix(key, "hold_") && (v == int64(0) || v == float64(0))
	})
}

// find returns the first key, dotted, for which is says yes; "" when none.
func find(keys map[string]any, is func(string, any) bool) string {
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if is(key, keys[key]) {
			return key
		}
		inner := []any{keys[key]}
		if list, ok := keys[key].([]any); ok {
			inner = list
		}
		for _, v := range inner {
			if table, ok := v.(map[string]any); ok {
				if k := find(table, is); k != "" {
					return key + "." + k
				}
			}
		}
	}
	return ""
}

// at makes paths relative to the configuration file absolute.
type at string

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
		l.Spool = filepath.Join(state, "spool")
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
