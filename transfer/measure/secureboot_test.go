package measure

import (
	"encoding/binary"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf16"
)

// event is one that a test writes into a log.
type event struct {
	register int
	kind     uint32
	data     []byte
}

// made writes a log with SHA-256 digests alone, each of its event's data.
func made(events ...event) []byte {
	le := binary.LittleEndian
	header := append([]byte("Spec ID Event03\x00"), 0, 0, 0, 0, 0, 2, 0, 2)
	header = le.AppendUint32(header, 1)
	header = le.AppendUint16(header, algSHA256)
	header = le.AppendUint16(header, 32)
	header = append(header, 0)
	log := le.AppendUint32(nil, 0)
	log = le.AppendUint32(log, evNoAction)
	log = append(log, make([]byte, 20)...)
	log = append(le.AppendUint32(log, uint32(len(header))), header...)
	for _, e := range events {
		log = le.AppendUint32(log, uint32(e.register))
		log = le.AppendUint32(log, e.kind)
		log = le.AppendUint32(log, 1)
		log = le.AppendUint16(log, algSHA256)
		digest := sum(e.data)
		if e.kind == evNoAction {
			digest = Digest{}
		}
		log = append(log, digest[:]...)
		log = append(le.AppendUint32(log, uint32(len(e.data))), e.data...)
	}
	return log
}

// global is a variable of UEFI's own.
func global(name string, data ...byte) []byte {
	units := utf16.Encode([]rune(name))
	out := append([]byte{}, guidGlobal[:]...)
	out = binary.LittleEndian.AppendUint64(out, uint64(len(units)))
	out = binary.LittleEndian.AppendUint64(out, uint64(len(data)))
	for _, u := range units {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return append(out, data...)
}

// judged reads a log as the machine with those registers would.
func judged(t *testing.T, log []byte) *BootLog {
	t.Helper()
	registers := make(map[int][32]byte)
	for _, r := range parsed(t, log, nil).Registers {
		registers[r.Register] = r.Replay
	}
	return parsed(t, log, registers)
}

func TestSecureBoot(t *testing.T) {
	var (
		on, off   = event{7, evVariableConfig, global("SecureBoot", 1)}, event{7, evVariableConfig, global("SecureBoot", 0)}
		pk        = event{7, evVariableConfig, global("PK", 1, 2, 3)}
		end       = event{7, evSeparator, []byte{0, 0, 0, 0}}
		otherEnd  = event{7, evSeparator, []byte{0xFF, 0xFF, 0xFF, 0xFF}}
		failed    = event{7, evSeparator, []byte{1, 0, 0, 0}}
		authority = event{7, evAuthority, global("db", 9)}
		own       = event{7, evVariableConfig, append(make([]byte, 16), global("SecureBoot", 1)[16:]...)}
	)
	for name, test := range map[string]struct {
		events []event
		want   string
	}{
		"on":                      {[]event{on, pk, end, authority}, "Secure Boot: on"},
		"off":                     {[]event{off, pk, end}, "Secure Boot: off"},
		"no such variable":        {[]event{{7, evVariableConfig, global("SecureBoot")}, end}, "Secure Boot: off"},
		"the other separator":     {[]event{on, otherEnd}, "Secure Boot: on"},
		"DMA unprotected":         {[]event{on, {7, evEFIAction, []byte("DMA Protection Disabled")}, end}, "Secure Boot: on"},
		"another owner's":         {[]event{own, off, end}, "Secure Boot: off"},
		"nothing":                 {nil, "does not say"},
		"not said":                {[]event{pk, end}, "exactly once"},
		"said twice":              {[]event{on, off, end}, "exactly once"},
		"said too late":           {[]event{off, end, on}, "after the firmware was done"},
		"no end":                  {[]event{on, pk}, "no end"},
		"an end that failed":      {[]event{on, failed}, "not understood"},
		"neither":                 {[]event{{7, evVariableConfig, global("SecureBoot", 2)}, end}, "neither"},
		"a debugger":              {[]event{on, {7, evEFIAction, []byte("UEFI Debug Mode")}, end}, "debugger"},
		"not understood":          {[]event{on, {7, evEFIAction, []byte("Something else")}, end}, "not understood"},
		"the end called a remark": {[]event{off, {7, evAction, []byte{0, 0, 0, 0}}, on}, "after the firmware was done"},
		"off called something":    {[]event{{7, evIPL, off.data}, on, end}, "exactly once"},
	} {
		b := judged(t, made(test.events...))
		if got := b.SecureBoot.String(); !strings.Contains(got, test.want) || b.SecureBoot.Known != strings.HasPrefix(test.want, "Secure") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Whoever writes the log anew, with the digests that were extended, cannot turn
// off into on.
func TestSecureBootForged(t *testing.T) {
	off, end := event{7, evVariableConfig, global("SecureBoot", 0)}, event{7, evSeparator, []byte{0, 0, 0, 0}}
	log := made(off, end)
	registers := map[int][32]byte{7: parsed(t, log, nil).Registers[0].Replay}
	if s := parsed(t, log, registers).SecureBoot; !s.Known || s.On {
		t.Fatalf("the true log: %s", s)
	}
	for i := range log {
		for _, bit := range []byte{1, 0x80} {
			forged := append([]byte{}, log...)
			forged[i] ^= bit
			if b, err := ParseBootLog(forged, registers); err == nil && b.SecureBoot.On {
				t.Errorf("byte %d: %s", i, b.SecureBoot)
			}
		}
	}
}

// Register 0 begins with the locality from which the TPM was started; OpenSSL
// agrees.
func TestStartupLocality(t *testing.T) {
	located := func(n byte) event { return event{0, evNoAction, append([]byte("StartupLocality\x00"), n)} }
	first := event{0, evPostCode, []byte("POST CODE")}
	for _, n := range []byte{0, 3, 4} {
		b := judged(t, made(located(n), first))
		script := `d=$(printf 'POST CODE' | openssl dgst -sha256 -r | cut -c 1-64)
printf "$(printf '%062d' 0 | sed 's/../\\x&/g')\x0` + string('0'+rune(n)) + `$(printf %s "$d" | sed 's/../\\x&/g')" | openssl dgst -sha256 -r | cut -c 1-64`
		out, err := exec.Command("bash", "-c", script).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Registers[0].Replay.String(); got != strings.TrimSpace(string(out)) {
			t.Errorf("locality %d: %s, OpenSSL %s", n, got, out)
		}
	}
	for name, log := range map[string][]byte{"too late": made(first, located(3)), "twice": made(located(3), located(3), first)} {
		if b, err := ParseBootLog(log, nil); err == nil || b != nil {
			t.Errorf("%s: %v", name, b)
		}
	}
}

func TestRegisterNames(t *testing.T) {
	for i := range 24 {
		en, ja := RegisterName(i), RegisterNameJa(i)
		if en == "" || ja == "" || (i <= 15) == strings.HasPrefix(en, "register ") {
			t.Errorf("register %d: %q, %q", i, en, ja)
		}
	}
	for i, want := range map[int]Class{0: Firmware, 1: Firmware, 2: Firmware, 4: System, 7: SecureBoot, 8: System, 9: System, 11: System, 12: Software, 13: System, 14: SecureBoot} {
		if got := ClassOf(i, 12); got != want {
			t.Errorf("register %d is %s, want %s", i, got, want)
		}
	}
	if ClassOf(SoftwareRegister, SoftwareRegister) != Software || Software.Ja() == "" || Software.String() != "Sekisho itself" {
		t.Error("the software register")
	}
}
