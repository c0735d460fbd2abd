package script

import (
	"regexp"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// create makes a gate's keys.
var create = []string{"gate", "keys", "create", "-config", "gate.toml", "-recovery", "recovery.key", "-keys", "keys.json", "-passphrase", "offline.passphrase"}

// read is the shell's function for what a screen shows to be compared.
const read = `
shown() { sed -n 's/^  \([A-Z0-9]\{4\}\(-[A-Z0-9]\{4\}\)*\)$/\1/p' "$1"; }
`

// enrolment is what the people at both screens do: each types what the other reads
// out. A drive of its own goes between them. The root of the software TPM is
// added to those that the gate takes.
func enrolment(kiosk, gate string) []string {
	return []string{"sh", "-ec", read + `
trip=$(mktemp -d)
roots=
if grep -q '^kind = "software"' "$1"; then roots="-software-roots $trip/roots"; fi
kiosk enrol request -config "$1" $roots $trip >$trip/kiosk
if [ "$roots" ]; then cat $trip/roots >>software-tpm-roots.pem; fi
gate enrol challenge -config "$2" -fingerprint "$(shown $trip/kiosk)" $trip >$trip/gate
kiosk enrol answer -config "$1" -digest "$(shown $trip/gate)" $trip
gate enrol finish -config "$2" $trip
rm -r $trip
`, "enrol", kiosk, gate}
}

// approval carries the kiosk's state to IT, who types what the kiosk's screen shows,
// looks at it and approves it. The approval goes to the kiosk with the next drive.
func approval(kiosk, gate string) []string {
	return []string{"sh", "-ec", read + `
trip=$(mktemp -d)
kiosk state -config "$1" -out $trip/state >$trip/kiosk || [ $? = 3 ]
gate approve -config "$2" -key approvals.key.age -passphrase offline.passphrase -state "$(shown $trip/kiosk)" $trip/state
rm -r $trip
`, "approve", kiosk, gate}
}

// people makes a command of what two people do.
func people(do func(kiosk, gate string) []string) func(*testscript.TestScript, []string) {
	return func(ts *testscript.TestScript, args []string) {
		c := do(args[0], args[1])
		ts.Check(ts.Exec(c[0], c[1:]...))
	}
}

// Enrol has the kiosk and the gate in a folder that Configure filled come to trust
// each other. Both programs are in the PATH.
func Enrol(t *testing.T, dir string) {
	t.Helper()
	for _, c := range [][]string{create, enrolment("kiosk.toml", "gate.toml")} {
		if err := run(dir, c...); err != nil {
			t.Fatal(err)
		}
	}
}

var groups = regexp.MustCompile(`(?m)^  ([A-Z0-9]{4}(?:-[A-Z0-9]{4})+)$`)

func shown(ts *testscript.TestScript, args []string) {
	found := groups.FindAllStringSubmatch(ts.ReadFile(args[1]), -1)
	if len(found) != 1 {
		ts.Fatalf("%s shows %d things to compare, want 1", args[1], len(found))
	}
	ts.Setenv(args[0], found[0][1])
}
