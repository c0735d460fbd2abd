package measure

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	_ "github.com/google/go-eventlog/testdata" // has its files where go list finds them
)

// bootLogs are logs of real machines, which come with go-eventlog, by name.
func bootLogs(t testing.TB) map[string][]byte {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/go-eventlog").Output()
	if err != nil || len(bytes.TrimSpace(dir)) == 0 {
		t.Fatalf("no go-eventlog, try go mod download: %v", err)
	}
	testdata := filepath.Join(strings.TrimSpace(string(dir)), "testdata")
	logs := make(map[string][]byte)
	for _, pattern := range []string{"eventlogs/tpm/*.bin", "legacydata/*_eventlog"} {
		paths, err := filepath.Glob(filepath.Join(testdata, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			data, err := ReadBootLog(path)
			if err != nil {
				t.Fatal(err)
			}
			logs[filepath.Base(path)] = data
		}
	}
	if len(logs) < 15 {
		t.Fatalf("only %d logs in %s", len(logs), testdata)
	}
	return logs
}

// agile are the logs with SHA-256 digests; the others are older.
func agile(t testing.TB) map[string][]byte {
	logs := bootLogs(t)
	for _, name := range []string{"debian-10.bin", "ebs_event_missing_eventlog", "option_rom_eventlog", "short_no_action_eventlog"} {
		if b, err := ParseBootLog(logs[name], nil); !errors.Is(err, ErrMalformed) || b != nil {
			t.Errorf("%s: %v, %v", name, b, err)
		}
		delete(logs, name)
	}
	if len(logs) < 10 {
		t.Fatalf("only %d logs with SHA-256", len(logs))
	}
	return logs
}

func values(t testing.TB, digests map[int]string) map[int][32]byte {
	t.Helper()
	out := make(map[int][32]byte)
	for i, s := range digests {
		var d Digest
		if err := d.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
		out[i] = d
	}
	return out
}

// What these machines' TPMs had, as recorded beside their logs.
var (
	rhel8 = map[int]string{
		0:  "24af52a4f429b71a3184a6d64cddad17e54ea030e2aa6576bf3a5a3d8bd3328f",
		1:  "454220afaa80c83c3839f6cccd8b3c88bf4f562316a9dda1121c578c9e005a53",
		2:  "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
		3:  "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
		4:  "758a3d35f1b0ff5b135dacd07db0c8132c0ac665d944090d4bf96e66447a245c",
		5:  "53d0ee36163219201e686167bbb71ec505b3ba2917b9d9183ed84aad26cfeb89",
		6:  "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
		7:  "5fd54361d580eb7592adb8deb236ff35444ceeac7148f24b3de63c041f12b3da",
		8:  "25c3874041ebd4e9a21b6ed71b624a7bfa99907a8dcea7f129a4c64cbaf5829a",
		9:  "d43b2f61eb18b4791812ff5f20ab20e4ef621ba683370bedf5dbdf518b3a8078",
		14: "d8f57ebcc1a23cc46832696e1a657f720e1be8f5b405bb7204682114e363b455",
	}
	arch = map[int]string{
		0: "758b773d94feabf52ef5a4c00a7ad2c80d8d6e6d9d58756150be9bc973da9087",
		1: "bfda688a5d320123fddb3fc70b746bc17647e2e7f2f96e130d429542bf4622d5",
		2: "65dee4a48cde677aa89fa83c5c35e883fda658f743853e3ebad504ca6702f7c5",
		3: "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
		4: "925d453d3dfef4ac0c72c957402163d45fa95d05e6d53f047263a3a60b598325",
		5: "202522f005ef625588bb7c9e21335ba96a63c5086306138885b3bb2c381730ca",
		6: "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
		7: "3b4a4db44b7a872524055364e62e897ae678e0d47ab0809f65c3a4ed77f66ab9",
		8: "47591b43af431963eaeb5238a5c42eda1eb0014c27f7de7ae483066a2d2a2e61",
	}
	laptop = map[int]string{ // its TPM was started from locality 3
		0: "0e5ea849d7647a1ac1becc096fee4df98f00f8015f934afadaab0b8aa20b38a5",
		1: "9750400838980c9419764b9cf19c975c0e159c18ebe21cb897c6e834a8d8d433",
		2: "970096d49105b0404999173e49c3f6b8597b9c4c5ff6a9e364b55ce01037578e",
		3: "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
		4: "ddb124ca9013f1e42f98537f7f381e47c5e6caa988cf2b4088f452c5a8dd912d",
		5: "fb58603615cfec59c0428e71913d30d45f38e4280380cc814135a7659c246b13",
		6: "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
		7: "9d1be46302bc4f5055c90a0376d9142e397ca8744f387c9824170f1bc855fde5",
	}
)

func parsed(t testing.TB, log []byte, registers map[int][32]byte) *BootLog {
	t.Helper()
	b, err := ParseBootLog(log, registers)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// said is everything that is shown of a log.
func said(b *BootLog) string {
	var s strings.Builder
	s.WriteString(b.SecureBoot.String() + "\n")
	for _, r := range b.Registers {
		s.WriteString(r.String() + "\n")
		for _, e := range r.Events {
			s.WriteString("\t" + e.Type + " " + e.Text + " " + strconv.FormatBool(e.Bound) + "\n")
		}
	}
	return s.String()
}

func TestBootLog(t *testing.T) {
	logs := agile(t)
	for name, test := range map[string]struct {
		values map[int]string
		want   []string
	}{
		"rhel8-uefi.bin": {rhel8, []string{
			"Secure Boot: on\n",
			"EV_S_CRTM_VERSION firmware version: GCE Virtual Firmware v1 true\n",
			"EV_EFI_VARIABLE_BOOT boot setting: Boot0002 Red Hat Enterprise Linux true\n",
			`EV_EFI_BOOT_SERVICES_APPLICATION program: \EFI\redhat\shimx64.efi false` + "\n",
			"EV_EFI_VARIABLE_AUTHORITY signature accepted: db, Microsoft Corporation UEFI CA 2011 true\n",
			"EV_IPL boot loader: grub_kernel_cmdline (hd0,gpt2)/boot/vmlinuz-4.18.0-240.22.1.el8_3.x86_64 root=",
		}},
		"arch-linux-workstation.bin": {arch, []string{
			"Secure Boot: off\n",
			"EV_S_CRTM_VERSION firmware version: 1efb6b540c1d5540a4ad4ef4bf17b83a true\n",
			"EV_EFI_BOOT_SERVICES_DRIVER driver: in a card's memory false\n",
			`EV_EFI_BOOT_SERVICES_APPLICATION program: \EFI\SYSTEMD\SYSTEMD-BOOTX64.EFI false` + "\n",
			"EV_EFI_GPT_EVENT partition table: disk 69bbf4f91854bb4695012d615a3edc79, 3 partitions true\n",
			`EV_IPL boot loader: initrd=\intel-ucode.img initrd=\initramfs-linux-lts.img`,
		}},
		"glinux-alex.bin": {laptop, []string{"Secure Boot: off\n"}},
	} {
		b := parsed(t, logs[name], values(t, test.values))
		for _, r := range b.Registers {
			if r.Result != Equal {
				t.Errorf("%s: %s", name, &r)
			}
		}
		if len(b.Registers) != len(test.values) {
			t.Errorf("%s: %d registers, want %d", name, len(b.Registers), len(test.values))
		}
		for _, want := range test.want {
			if !strings.Contains(said(b), want) {
				t.Errorf("%s: no %q in\n%s", name, want, said(b))
			}
		}
	}
}

// tpm2_eventlog replays every log to the same values, but for register 0 of a
// TPM started from another locality, of which version 5.4 knows nothing.
func TestBootLogByTPM2Tools(t *testing.T) {
	value := regexp.MustCompile(`(?m)^    (\d+) *: 0x([0-9a-f]{64})$`)
	for name, log := range agile(t) {
		path := write(t, t.TempDir()+"/log", string(log))
		out, err := exec.Command("tpm2_eventlog", path).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, pcrs, _ := strings.Cut(string(out), "\n  sha256:\n")
		want := make(map[int]string)
		for _, m := range value.FindAllStringSubmatch(pcrs, -1) {
			i, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			want[i] = m[2]
		}
		if len(want) < 4 {
			t.Fatalf("%s: tpm2_eventlog gives %d registers:\n%s", name, len(want), pcrs)
		}
		b := parsed(t, log, nil)
		if len(b.Registers) != len(want) {
			t.Errorf("%s: %d registers, tpm2_eventlog %d", name, len(b.Registers), len(want))
		}
		for _, r := range b.Registers {
			located := name == "glinux-alex.bin" && r.Register == 0
			if (r.Replay.String() == want[r.Register]) == located {
				t.Errorf("%s: register %d replays to %s, tpm2_eventlog has %s", name, r.Register, r.Replay, want[r.Register])
			}
			if r.Result != NotCompared {
				t.Errorf("%s: compared register %d with nothing", name, r.Register)
			}
		}
	}
}

// A difference is said, of each register by itself, and takes what depends on it.
func TestBootLogDiffers(t *testing.T) {
	log := agile(t)["rhel8-uefi.bin"]
	for i := range rhel8 {
		registers := values(t, rhel8)
		value := registers[i]
		value[31] ^= 1
		registers[i] = value
		b := parsed(t, log, registers)
		for _, r := range b.Registers {
			if want := map[bool]Result{true: Differs, false: Equal}[r.Register == i]; r.Result != want {
				t.Errorf("register %d changed: %s", i, &r)
			}
		}
		if !strings.Contains(said(b), "THE LOG DOES NOT GIVE THE TPM'S VALUE") {
			t.Errorf("register %d changed: not said", i)
		}
		if b.SecureBoot.Known != (i != 7) || b.SecureBoot.On != (i != 7) {
			t.Errorf("register %d changed: %s", i, b.SecureBoot)
		}
	}

	// 13 is not in this log and 16 not the firmware's.
	registers := values(t, map[int]string{13: rhel8[0], 16: rhel8[0], 7: rhel8[7]})
	for _, r := range parsed(t, log, registers).Registers {
		if (r.Result == Equal) != (r.Register == 7) || r.Result == Differs {
			t.Errorf("%s", &r)
		}
	}
	if s := parsed(t, log, nil).SecureBoot; s.Known {
		t.Errorf("%s, without the TPM's value", s)
	}
	b := parsed(t, log[:headerSize(log)], values(t, rhel8))
	for _, r := range b.Registers {
		if want := r.Register <= 7; (r.Result == Differs) != want {
			t.Errorf("a log without events: %s", &r)
		}
	}
}

// headerSize is where a log's first event ends.
func headerSize(log []byte) int {
	return 32 + int(binary.LittleEndian.Uint32(log[28:]))
}

// A log cut short is refused, unless it is cut between events; then registers differ.
func TestBootLogCut(t *testing.T) {
	log := agile(t)["rhel8-uefi.bin"]
	registers := values(t, rhel8)
	between := 0
	for n := range len(log) {
		if n%7 != 0 && n > 2000 && n < len(log)-2000 { // all would take seconds
			continue
		}
		b, err := ParseBootLog(log[:n], registers)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || b != nil {
				t.Fatalf("cut at %d: %v, %v", n, b, err)
			}
			continue
		}
		between++
		if !strings.Contains(said(b), "THE LOG DOES NOT") {
			t.Errorf("cut at %d: all registers equal", n)
		}
	}
	if between == 0 {
		t.Error("no cut fell between events")
	}
	for name, bad := range map[string][]byte{"nothing": nil, "padding": append(bytes.Clone(log), 0xFF, 0xFF, 0xFF, 0xFF), "zeros": make([]byte, 4096)} {
		if b, err := ParseBootLog(bad, nil); !errors.Is(err, ErrMalformed) || b != nil {
			t.Errorf("%s: %v, %v", name, b, err)
		}
	}
}

func TestReadBootLog(t *testing.T) {
	if _, err := ReadBootLog(t.TempDir() + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no log: %v", err)
	}
	large := t.TempDir() + "/large"
	if err := os.WriteFile(large, make([]byte, MaxBootLog+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadBootLog(large); !errors.Is(err, ErrMalformed) || data != nil {
		t.Errorf("a large file: %d bytes, %v", len(data), err)
	}
}

func FuzzBootLog(f *testing.F) {
	logs := agile(f)
	if len(logs) == 0 {
		f.Fatal("no seeds")
	}
	for _, log := range logs {
		f.Add(log)
	}
	version, err := hex.DecodeString("1efb6b540c1d5540a4ad4ef4bf17b83a")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(made(event{0, evNoAction, []byte("StartupLocality\x00\x03")}, event{0, evCRTMVersion, version}))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBootLog(data, nil)
		if err != nil {
			if b != nil || !errors.Is(err, ErrMalformed) {
				t.Errorf("%v and %v", b, err)
			}
			return
		}
		if b.SecureBoot.Known {
			t.Errorf("%s, without the TPM's value", b.SecureBoot)
		}
		registers := make(map[int][32]byte)
		for _, r := range b.Registers {
			registers[r.Register] = r.Replay
			for _, e := range r.Events {
				if utf8.RuneCountInString(e.Text) > 200 || strings.ContainsFunc(e.Text, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("text %q", e.Text)
				}
			}
		}
		for _, r := range parsed(t, data, registers).Registers {
			if r.Result == Differs {
				t.Errorf("%s", &r)
			}
		}
	})
}
