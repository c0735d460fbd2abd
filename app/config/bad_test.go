package config

import (
	"strconv"
	"strings"
	"testing"
)

// change is an example with one line put in the place of another, and what the
// operator is told of it.
type change struct {
	line, by string // line "" appends
	want     string // @ is the line's number, @+1 that of the next
	gate     bool
}

func (c change) apply() string {
	text := string(KioskExample)
	if c.gate {
		text = string(GateExample)
	}
	if c.line == "" {
		return text + c.by + "\n"
	}
	if strings.Count(text, "\n"+c.line+"\n") != 1 {
		panic("the example has no single line " + c.line)
	}
	return strings.Replace(text, "\n"+c.line+"\n", "\n"+c.by+"\n", 1)
}

// wanted is want with the number of the line that was changed.
func (c change) wanted() string {
	before, _, _ := strings.Cut(string(KioskExample), "\n"+c.line+"\n")
	n := strings.Count(before, "\n") + 2
	return strings.NewReplacer("@+1", strconv.Itoa(n+1), "@", strconv.Itoa(n)).Replace(c.want)
}

const exempt = "[[workflow.exempt]]\nby = 'it-01'\nreason = 'x'\n"

var bad = []change{
	// A line of the file is named where the decoder knows it.
	{line: "part_mib = 128", by: "part_mb = 128", want: `f.toml:@:1: unknown key "part_mb"`},
	{line: "strict = false", by: "strickt = false", want: `f.toml:@:1: unknown key "workflow.strickt"`},
	{line: "workers = 4", by: "wrokers = 4", want: `unknown key "engines.wrokers"`},
	{line: "part_mib = 128", by: "part_mib = '128'", want: "f.toml:@:12: part_mib: want a whole number, not TOML string"},
	{line: "part_mib = 128", by: "part_mib = 1.5", want: "part_mib: want a whole number, not TOML float"},
	{line: "part_mib = 128", by: "part_mib = 99999999999999999999", want: "f.toml:@:12: part_mib: "},
	{line: "strict = false", by: "strict = 'no'", want: "workflow.strict: want true or false, not TOML string"},
	{line: "hold_percent = 1.0", by: "hold_percent = true", want: "workflow.hold_percent: want a number, not TOML boolean"},
	{line: `kiosk = "kiosk1"`, by: "kiosk = 3", want: "kiosk: want text in quotes, not TOML integer"},
	{line: `# rules = ["/etc/sekisho/yara"]`, by: "rules = 'x'", want: "engines.yara.rules: want a list of texts, not TOML string"},
	{line: "[engines]", by: "[engines", want: "f.toml:@:9: "},
	{line: "number = 1", by: "number = 2\nnumber = 1", want: "f.toml:@+1:1: number: "},
	{line: `kind = "files"`, by: `kind = "file"`, want: `workflow.kind: no such kind of workflow: "file" (want files or set)`},

	// A key in other case is another key, not a second spelling.
	{line: `kiosk = "kiosk1"`, by: `Kiosk = "kiosk1"`, want: `unknown key "Kiosk": keys are written in lower case`},
	{line: "strict = false", by: "strict = true\nSTRICT = false", want: `unknown key "workflow.STRICT"`},

	// What was meant is not guessed.
	{line: `kiosk = "kiosk1"`, by: `kiosk = "Kiosk 1"`, want: `kiosk = "Kiosk 1": lower-case letters, digits and -, at most 32`},
	{line: `kiosk = "kiosk1"`, by: `kiosk = "../x"`, want: "lower-case letters"},
	{line: `state = "kiosk"`, by: `state = ""`, want: "state is missing"},
	{line: `kind = "software"`, by: `kind = "soft"`, want: `tpm.kind = "soft": want "software" or "device"`},
	{line: "software_register = 13", by: "software_register = 16", want: "tpm.software_register = 16 is not between 11 and 14"},
	{line: `# contact = "医療情報部門 (内線 1234)"`, by: `contact = "a\nb"`, want: "one line of at most 80 characters"},
	{line: `# contact = "医療情報部門 (内線 1234)"`, by: `contact = ""`, want: "one line of at most 80 characters"},
	{line: `# files = ["/etc/systemd/system/sekisho-kiosk.service"]`, by: "files = 3", want: "measure.files: want a list of texts, not TOML integer"},
	{line: "definitions_hold_days = 30", by: "definitions_hold_days = 0", want: "definitions_hold_days = 0 is out of range"},
	{line: "definitions_hold_days = 30", by: "definitions_hold_days = 9000000000", want: "definitions_hold_days = 9000000000 is out of range"},
	{line: "part_mib = 128", by: "part_mib = 0", want: "part_mib = 0 is not between 1 and 3900"},
	{line: "part_mib = 128", by: "part_mib = 4096", want: "part_mib = 4096 is not between 1 and 3900"},
	{line: "workers = 4", by: "workers = 0", want: "engines.workers = 0 is not between 1 and 64"},
	{line: "private = true", by: "private = false", want: "engines.clamd: set either private = true or sockets"},
	{line: "private = true", by: "private = true\nsockets = ['/run/clamav/clamd.ctl']", want: "engines.clamd: set either private = true or sockets"},
	{line: "# daemons = 2", by: "daemons = -2", want: "engines.clamd: daemons = -2 is not between 0 and 64"},
	{line: "# timeout_secs = 300", by: "timeout_secs = 0", want: "timeout_secs"},
	{line: "# timeout_secs = 120", by: "timeout_secs = 9223372036", want: "timeout_secs"},
	{line: "memory_mib = 256", by: "memory_mib = 1", want: "memory_mib must be at least twice memory_file_mib"},
	{line: "memory_mib = 256", by: "memory_mib = 9223372036854775807", want: "less than a TiB"},
	{line: "memory_file_mib = 64", by: "memory_file_mib = 0", want: "memory_mib must be at least twice"},

	// Workflows and their policy.
	{by: "[[workflow]]\nname = 'export'\nnumber = 2\nsource = 'x'", want: `workflow "export", number 2: each needs a name and a number from 1 of its own`},
	{by: "[[workflow]]\nname = 'other'\nnumber = 1\nsource = 'x'", want: `workflow "other", number 1: each needs`},
	{line: `name = "export"`, by: `name = "ex port"`, want: `workflow "ex port"`},
	{line: "number = 1", by: "number = 0", want: "number 0"},
	{line: `source = "export"`, by: "", want: `workflow "export": source is missing`},
	{line: "hold_files = 20", by: "hold_files = -1", want: "hold_files -1"},
	{line: "hold_files = 20", by: "hold_files = 0", want: "workflow.hold_files = 0: leave the key out for its default; strict = true holds at the first file"},
	{line: "hold_percent = 1.0", by: "hold_percent = 0.0", want: "workflow.hold_percent = 0"},
	{line: "hold_from = 3", by: "hold_from = 0", want: "workflow.hold_from = 0"},
	{line: "hold_percent = 1.0", by: "hold_percent = nan", want: "out of range"},
	{line: "hold_percent = 1.0", by: "hold_percent = 101", want: "out of range"},
	{by: exempt + "path = '*'\nuntil = 2027-01-01T00:00:00Z", want: `workflow "export": policy: exemption 1: too wide: want sha256, or signature, or path with magic`},
	{by: exempt + "sha256 = '00'\nuntil = 2027-01-01T00:00:00Z", want: `sha256 "00" is not 64 lower-case hex digits`},
	{by: exempt + "signature = 'x'", want: "until is missing"},
	{by: exempt + "signature = 'x'\nuntil = 2999-01-01T00:00:00Z", want: "more than a year ahead"},
	{by: "[[workflow.exempt]]\nsignature = 'x'\nuntil = 2026-01-01T00:00:00Z", want: "by is missing: who approved it"},
	{by: exempt + "magic = 'ZZ'", want: `magic "ZZ" is not lower-case hex`},

	{gate: true, line: `gate = "gate1"`, by: `gate = "gate 1"`, want: `gate = "gate 1": letters, digits, - and _, at most 32`},
	{gate: true, line: `vault = "vault"`, by: "", want: "state or vault is missing"},
	{gate: true, line: "scan = true", by: "scan = 'yes'", want: "scan: want true or false, not TOML string"},
	{gate: true, line: "scan = true", by: "scann = true", want: `unknown key "scann"`},
	{gate: true, line: "max_age_days = 0", by: "max_age_days = -1", want: "max_age_days = -1 is out of range"},
	{gate: true, line: "max_age_days = 0", by: "max_age_days = 107000", want: "max_age_days = 107000 is out of range"},
	{gate: true, line: "max_definitions_days = 30", by: "max_definitions_days = 0", want: "max_definitions_days = 0 is out of range"},
	{gate: true, line: "private = true", by: "private = false", want: "engines.clamd: set either private = true or sockets"},
	{gate: true, line: "memory_mib = 256", by: "memory_mib = 64", want: "memory_mib must be at least twice memory_file_mib"},
}

func TestBadConfigurations(t *testing.T) {
	for _, c := range bad {
		var err error
		if c.gate {
			_, err = parseGate("f.toml", []byte(c.apply()))
		} else {
			_, err = parseKiosk("f.toml", []byte(c.apply()))
		}
		switch {
		case err == nil:
			t.Errorf("%s in the place of %s: taken", c.by, c.line)
		case !strings.HasPrefix(err.Error(), "f.toml:"), !strings.Contains(err.Error(), c.wanted()):
			t.Errorf("%s in the place of %s:\n  %v\nlacks\n  %s", c.by, c.line, err, c.wanted())
		case strings.Contains(err.Error(), "config.") || strings.Contains(err.Error(), "\n"):
			t.Errorf("not for an operator: %v", err)
		}
	}
}
