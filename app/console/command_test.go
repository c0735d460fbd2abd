package console

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"sekisho/transfer"
)

func refusal(r transfer.Reason) error { return &transfer.Refusal{Reason: r} }

func TestExitCodeOfEveryReason(t *testing.T) {
	held := []transfer.Reason{"NoTransfer", "BadSeal", "UnknownKiosk", "WrongGate", "WrongDrive", "Replayed", "Equivocation", "TooOld",
		"StaleDefinitions", "Malformed", "MissingPart", "ExtraFile", "Altered", "Undecryptable", "Detected", "Unscannable", "TooManyLeftOut", "FolderUnread",
		"SoftwareTPM", "RetiredKiosk", "ComparisonFailed", "EnrolmentRefused", "ApprovalRefused", "RecoveryFailed", "UnapprovedState", "RolledBack", "BrokenChain"}
	trouble := []transfer.Reason{"SourceMissing", "SourceEmpty", "SourceFailed", "SourceChanged", "EngineFailed", "NothingDue", "NoDrive",
		"DriveGone", "DriveFull", "DriveProtected", "DriveFaulty", "WriteFailed", "ReadFailed", "SealFailed", "NotEnrolled", "NoSpace",
		"BagDamaged", "VaultDamaged", "Busy", "Stopped", "Failed", "NoTPM", "TPMBusy", "TPMLocked"}
	notices := []transfer.Reason{"LeftOut", "AlreadyAccepted"} // end no command
	for _, r := range transfer.Reasons {
		want := ExitTrouble
		switch {
		case slices.Contains(held, r), slices.Contains(notices, r):
			want = ExitHeld
		case !slices.Contains(trouble, r):
			t.Errorf("%s has no exit code here", r)
		}
		if got := ExitCode(fmt.Errorf("on the way: %w", refusal(r))); got != want {
			t.Errorf("%s: exit %d, want %d", r, got, want)
		}
	}
}

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {flag.ErrHelp, 0}, {ErrPartial, 4}, {fmt.Errorf("x: %w", ErrPartial), 4},
		{Usagef("x"), 2}, {fmt.Errorf("y: %w", Usagef("x")), 2},
		{Faulty(errors.New("x")), 3}, {Said(Faulty(errors.New("x"))), 3}, {Said(refusal(transfer.Detected)), 3},
		{context.Canceled, 1}, {errors.New("anything"), 1}, {fs.ErrNotExist, 1}, {Said(errors.New("anything")), 1},
		{errors.Join(refusal(transfer.NoDrive), errors.New("closing")), 1},
		// Something went through and closing failed: not done.
		{errors.Join(nil, errors.New("closing")), 1},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%v: exit %d, want %d", c.err, got, c.want)
		}
	}
	if Said(nil) != nil {
		t.Error("nothing was said")
	}
}

func TestWorseIsAnOrder(t *testing.T) {
	order := []error{nil, ErrPartial, Usagef("x"), refusal(transfer.DriveFull), refusal(transfer.Detected)}
	for i, a := range order {
		for j, b := range order {
			if got, want := Worse(a, b), order[max(i, j)]; got != want {
				t.Errorf("Worse(%v, %v) = %v, want %v", a, b, got, want)
			}
		}
	}
	first, second := refusal(transfer.Detected), refusal(transfer.Unscannable)
	if Worse(first, second) != first {
		t.Error("of two as grave the first is kept")
	}
}

// told runs Exit and returns what was said.
func told(json bool, err error) (code int, out, errs string) {
	var o, e bytes.Buffer
	c := New(&o, &e, "en")
	c.JSON = json
	code = Exit(c, "kiosk", err)
	return code, o.String(), e.String()
}

func TestExitSaysWhy(t *testing.T) {
	full := &transfer.Refusal{Reason: transfer.DriveFull, Where: "drive", Err: errors.New("3 bytes are missing")}
	for _, c := range []struct {
		err       error
		code      int
		out, errs string
	}{
		{nil, 0, "", ""},
		{ErrPartial, 4, "", ""},
		{Said(full), 1, "", ""},
		{Usagef("-x: no"), 2, "", "kiosk: -x: no\n"},
		{full, 1, `{"result":"trouble","reason":"DriveFull"}` + "\n",
			"There is not enough room on the drive.\n  Take another drive, or one whose backups the gate has accepted.\n  [DriveFull: drive: 3 bytes are missing]\n"},
		{refusal(transfer.NothingDue), 1, `{"result":"trouble","reason":"NothingDue"}` + "\n",
			"No backup waits for a drive.\n  Nothing to do now. IT sees in the outbox when the next one is ready.\n  [NothingDue]\n"},
		{refusal(transfer.BadSeal), 3, `{"result":"refused","reason":"BadSeal"}` + "\n",
			"The electronic seal on this drive does not hold.\n  Keep the drive apart and call IT. The kiosk still has the data.\n  [BadSeal]\n"},
		{errors.New("no such thing"), 1, `{"result":"trouble","reason":"Failed"}` + "\n",
			"Something unexpected stopped the work. Nothing was lost.\n  Try again. If it stays so, give IT the message below.\n  [Failed: no such thing]\n"},
		{fmt.Errorf("opening: %w", Faulty(errors.New("record 2 altered"))), 3, `{"result":"refused","reason":"Failed"}` + "\n",
			"opening: record 2 altered\n  Keep a copy of the folder as it is and tell IT security.\n"},
		// Stopping breaks things on its way: it was stopped all the same.
		{&transfer.Refusal{Reason: transfer.EngineFailed, Err: fmt.Errorf("starting: %w", context.Canceled)}, 1,
			`{"result":"trouble","reason":"Stopped"}` + "\n",
			"The work was stopped before its end. Nothing was lost.\n  Start it again; it goes on where it stopped.\n  [Stopped]\n"},
		// Several causes stay one line.
		{errors.Join(errors.New("one"), errors.New("two")), 1, `{"result":"trouble","reason":"Failed"}` + "\n",
			"Something unexpected stopped the work. Nothing was lost.\n  Try again. If it stays so, give IT the message below.\n  [Failed: one; two]\n"},
	} {
		for _, json := range []bool{false, true} {
			code, out, errs := told(json, c.err)
			want := c.out
			if !json {
				want = ""
			}
			if code != c.code || out != want || errs != c.errs {
				t.Errorf("%v: exit %d\n%q\n%q", c.err, code, out, errs)
			}
		}
	}
}

func TestParseTakesFlagsAnywhere(t *testing.T) {
	for _, args := range []string{"-config f a b -n 3", "a -config f b -n=3", "-n 3 -config=f a b", "a b --config f --n 3", "-config f -n 3 -- a b"} {
		c := New(nil, nil, "en")
		f := NewFlags("kiosk", "send", "", "")
		n := f.Int("n", 0, "")
		rest, err := f.Parse(c, strings.Fields(args), 2)
		if err != nil || !slices.Equal(rest, []string{"a", "b"}) || *n != 3 || f.Config != "f" {
			t.Errorf("%s: %q, n %d, config %q, %v", args, rest, *n, f.Config, err)
		}
	}
	for args, want := range map[string]string{
		"a b -config":               "send: flag needs an argument: -config; -h explains",
		"a b":                       "send: -config FILE is missing",
		"a -config f":               `send: want 2 arguments beside the flags, got ["a"]; -h explains`,
		"a b c -config f":           `send: want 2 arguments beside the flags, got ["a" "b" "c"]; -h explains`,
		"a b -config f -x":          "send: flag provided but not defined: -x; -h explains",
		"a b -config f -lang xx":    `-lang "xx": want en or ja`,
		"a b -config f -json=maybe": `send: invalid boolean value "maybe" for -json: parse error; -h explains`,
	} {
		rest, err := NewFlags("kiosk", "send", "", "").Parse(New(nil, nil, "en"), strings.Fields(args), 2)
		if rest != nil || ExitCode(err) != ExitUsage || err.Error() != want {
			t.Errorf("%s: %q, %v", args, rest, err)
		}
	}
	c := New(nil, nil, "en")
	if _, err := NewFlags("kiosk", "send", "", "").Parse(c, []string{"-config", "f", "-json", "-lang", "ja"}, 0); err != nil || !c.JSON || c.Lang != "ja" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestRunFindsTheCommand(t *testing.T) {
	var ran []string
	command := func(name string) Command {
		return Command{Name: name, Short: "does " + name, Run: func(_ context.Context, _ *Console, args []string) error {
			ran = append([]string{name}, args...)
			return nil
		}}
	}
	commands := []Command{command("log list"), command("log"), command("send")}
	for args, want := range map[string]string{"log list -x": "log list|-x", "log -x": "log|-x", "send list": "send|list", "log": "log"} {
		ran = nil
		if err := Run(t.Context(), New(nil, nil, ""), "kiosk", commands, strings.Fields(args)); err != nil || strings.Join(ran, "|") != want {
			t.Errorf("%s ran %q, %v", args, ran, err)
		}
	}
	for args, want := range map[string]string{
		"":             "which command?\nusage: kiosk COMMAND",
		"-config x":    "which command?\nusage: kiosk COMMAND",
		"frob -config": `there is no command "frob"; kiosk help lists them`,
		"list log":     `there is no command "list log"; kiosk help lists them`,
	} {
		err := Run(t.Context(), New(nil, nil, ""), "kiosk", commands, strings.Fields(args))
		if ExitCode(err) != ExitUsage || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
	for _, args := range []string{"-h", "-help", "--help", "help"} {
		var out bytes.Buffer
		if err := Run(t.Context(), New(&out, nil, ""), "kiosk", commands, []string{args}); err != nil || !strings.Contains(out.String(), "  send           does send\n") {
			t.Errorf("%s: %v\n%s", args, err, &out)
		}
	}
}
