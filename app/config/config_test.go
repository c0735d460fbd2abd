package config

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The least that each program must be told.
const (
	leastKiosk = "kiosk = 'kiosk1'\nstate = 'kiosk'\n[tpm]\nkind = 'software'\n[engines.clamd]\nprivate = true\n" +
		"[[workflow]]\nname = 'export'\nnumber = 1\nsource = 'export'\n"
	leastGate = "gate = 'gate1'\nstate = 'gate'\nvault = 'vault'\n[engines.clamd]\nprivate = true\n"
)

func TestExamplesAreTheDefaults(t *testing.T) {
	example, err := parseKiosk("/etc/sekisho/kiosk.toml", KioskExample)
	if err != nil {
		t.Fatal(err)
	}
	least, err := parseKiosk("/etc/sekisho/kiosk.toml", []byte(leastKiosk))
	if err != nil {
		t.Fatal(err)
	}
	// Package scan keeps a policy's defaults; the example spells them out.
	spelled := example.Workflows[0].Policy
	if spelled.HoldFiles != 20 || spelled.HoldPercent != 1 || spelled.HoldFrom != 3 || spelled.Strict {
		t.Errorf("the example's policy is %+v", spelled)
	}
	example.Workflows[0].Policy = least.Workflows[0].Policy
	if !reflect.DeepEqual(example, least) {
		t.Errorf("the example is not the defaults:\n%+v\n%+v", example, least)
	}

	gate, err := parseGate("/etc/sekisho/gate.toml", GateExample)
	if err != nil {
		t.Fatal(err)
	}
	leastG, err := parseGate("/etc/sekisho/gate.toml", []byte(leastGate))
	if err != nil {
		t.Fatal(err)
	}
	if !gate.Scans() || !leastG.Scans() {
		t.Error("a gate scans unless it is told not to")
	}
	gate.Scan = nil
	if !reflect.DeepEqual(gate, leastG) {
		t.Errorf("the example is not the defaults:\n%+v\n%+v", gate, leastG)
	}
}

// keys lists every key that a struct takes, dotted.
func keys(t reflect.Type, prefix string) (all []string) {
	for f := range t.Fields() {
		name := f.Tag.Get("toml")
		inner := f.Type
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case name == "-":
			continue
		case f.Anonymous:
			all = append(all, keys(f.Type, prefix)...)
			continue
		case name == "":
			panic("no toml tag: " + f.Name)
		case inner.Kind() == reflect.Struct && inner.String() != "time.Time":
			all = append(all, keys(inner, prefix+name+".")...)
		}
		all = append(all, prefix+name)
	}
	return all
}

var (
	commented = regexp.MustCompile(`(?m)^# ?((\[\[?[a-z._]+\]\]?|[a-z_0-9]+ = .*)$)`)
	section   = regexp.MustCompile(`^\[\[?([a-z._]+)\]\]?$`)
	setting   = regexp.MustCompile(`^([a-z_0-9]+) = `)
)

func TestExamplesShowEveryKey(t *testing.T) {
	for name, c := range map[string]struct {
		example []byte
		v       any
	}{"kiosk": {KioskExample, new(Kiosk)}, "gate": {GateExample, new(Gate)}} {
		whole := commented.ReplaceAll(c.example, []byte("$1"))
		if bytes.Equal(whole, c.example) {
			t.Fatalf("%s: nothing is commented out", name)
		}
		// What is commented out would be taken as it stands.
		if err := decode(name, whole, c.v); err != nil {
			t.Errorf("%s, all lines taken: %v", name, err)
		}
		var shown []string
		prefix := ""
		for line := range strings.Lines(string(whole)) {
			line = strings.TrimSpace(line)
			if m := section.FindStringSubmatch(line); m != nil {
				shown, prefix = append(shown, m[1]), m[1]+"."
			} else if m := setting.FindStringSubmatch(line); m != nil {
				shown = append(shown, prefix+m[1])
			}
		}
		for _, key := range keys(reflect.TypeOf(c.v).Elem(), "") {
			if !slices.Contains(shown, key) {
				t.Errorf("%s.example.toml does not show %q", name, key)
			}
		}
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	c, err := parseKiosk("/etc/sekisho/kiosk.toml", []byte(leastKiosk))
	if err != nil {
		t.Fatal(err)
	}
	if c.State != "/etc/sekisho/kiosk" || c.Limits.Spool != "/etc/sekisho/kiosk/spool" || c.Workflows[0].Source != "/etc/sekisho/export" {
		t.Errorf("state %q, spool %q, source %q", c.State, c.Limits.Spool, c.Workflows[0].Source)
	}
}

func TestReadNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.toml")
	if err := os.WriteFile(large, bytes.Repeat([]byte("#"), maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "none.toml"), dir, large} {
		c, err := ReadKiosk(path)
		if c != nil || err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", path, err)
		}
		g, err := ReadGate(path)
		if g != nil || err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// Whatever is in a file, reading it ends with a configuration or an error.
func FuzzParse(f *testing.F) {
	seeds := [][]byte{KioskExample, GateExample, []byte(leastKiosk), []byte(leastGate)}
	for _, b := range bad {
		seeds = append(seeds, []byte(b.apply()))
	}
	for _, s := range seeds {
		if len(s) == 0 {
			f.Fatal("an empty seed")
		}
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := parseKiosk("k.toml", data); (c == nil) != (err != nil) || c != nil && c.check() != nil {
			t.Errorf("%+v, %v", c, err)
		}
		if c, err := parseGate("g.toml", data); (c == nil) != (err != nil) || c != nil && c.check() != nil {
			t.Errorf("%+v, %v", c, err)
		}
	})
}
