package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// setUp makes a kiosk and a gate that know each other.
func (b *bench) setUp(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "drive"), 0o755); err != nil {
		return err
	}
	kiosk := fmt.Sprintf(`kiosk = "bench"
state = "kiosk"
[tpm]
kind = "software"
[engines]
workers = %d
[engines.clamd]
private = true
daemons = %d
definitions = [%q]
[engines.yara]
rules = [%q]
[[workflow]]
name = "bench"
number = 1
source = "."
kind = "files"
[[workflow.exempt]]
path = "large/EMR_FULL.dmp"
magic = "03000145"
min_size = 2147483646
max_size = 8589934592
until = %s
by = "bench"
reason = "a dump over the engine's limit"
`, 3*b.cores, 2*b.cores, b.signatures, b.rules, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
	gate := "gate = \"bench\"\nstate = \"gate\"\nvault = \"vault\"\nscan = false\nsoftware_tpm_roots = [\"roots.pem\"]\n"
	for name, text := range map[string]string{"kiosk.toml": kiosk, "gate.toml": gate} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "passphrase"), []byte("an invented passphrase\n"), 0o600); err != nil {
		return err
	}
	return b.command("", "sh", "-ec", enrolment, "sh", b.bin, dir).run()
}

// enrolment is what two people do, each typing what the other's screen shows.
const enrolment = `
bin=$1; cd "$2"
shown() { sed -n 's/^  \([A-Z0-9]\{4\}\(-[A-Z0-9]\{4\}\)*\)$/\1/p' "$1"; }
"$bin/gate" keys create -config gate.toml -recovery recovery.key -passphrase passphrase >gate.said
"$bin/kiosk" enrol request -config kiosk.toml -software-roots roots.pem drive >kiosk.said
"$bin/gate" enrol challenge -config gate.toml -fingerprint "$(shown kiosk.said)" drive
"$bin/kiosk" enrol answer -config kiosk.toml -digest "$(shown gate.said)" drive
"$bin/gate" enrol finish -config gate.toml drive
`
