package approval

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sekisho/transfer/measure"
)

func TestJudge(t *testing.T) {
	key, s := newKey(t), newState()
	term := func(from, until time.Time, without ...int) Terms {
		c := terms()
		c.From, c.Until, c.Without = from, until, without
		return c
	}
	hour := noon.Add(time.Hour)
	all := approve(t, key, s, term(noon, hour))
	long := approve(t, key, s, term(noon, noon.Add(2*time.Hour)))
	loose := approve(t, key, s, term(noon, hour, 0, 1, 2, 3))
	past := approve(t, key, s, term(noon.Add(-2*time.Hour), noon))
	future := approve(t, key, s, term(hour, noon.Add(2*time.Hour)))
	older := approve(t, key, changed(s, 0, 4), term(noon, hour))
	elsewhere := s
	elsewhere.Kiosk = "k4"
	foreign := approve(t, key, elsewhere, term(noon, hour))
	enrolled := AtEnrolment(s)
	nothing := &Approval{Kiosk: "k3", Software: 13, Events: s.Events} // covers nothing

	for name, c := range map[string]struct {
		state     State
		approvals []*Approval
		at        time.Time
		approved  bool
		by        *Approval // or closest
		standing  Standing
		registers []int
	}{
		"approved":                       {s, []*Approval{older, all}, noon, true, all, Holds, nil},
		"the last moment":                {s, []*Approval{all}, hour.Add(-1), true, all, Holds, nil},
		"expired at the second":          {s, []*Approval{all}, hour, false, all, Expired, nil},
		"a second too early":             {s, []*Approval{all}, noon.Add(-time.Second), false, all, NotYet, nil},
		"one of two lasts longer":        {s, []*Approval{all, long}, noon, true, long, Holds, nil},
		"an expired one is no obstacle":  {s, []*Approval{past, all, future}, noon, true, all, Holds, nil},
		"expired, and another close one": {s, []*Approval{past, older}, noon, false, past, Expired, nil},
		"not yet before expired":         {s, []*Approval{past, future}, noon, false, future, NotYet, nil},
		"firmware":                       {changed(s, 0, 2), []*Approval{all}, noon, false, all, Holds, []int{0, 2}},
		"firmware, not covered":          {changed(s, 0, 2), []*Approval{all, loose}, noon, true, loose, Holds, nil},
		"also another, not covered":      {changed(s, 0, 4), []*Approval{all, loose}, noon, false, loose, Holds, []int{4}},
		"Secure Boot":                    {changed(s, 7), []*Approval{loose}, noon, false, loose, Holds, []int{7}},
		"software":                       {changed(s, 13), []*Approval{all}, noon, false, all, Holds, []int{13}},
		"another kiosk's":                {s, []*Approval{foreign}, noon, false, nil, Holds, nil},
		"none":                           {s, nil, noon, false, nil, Holds, nil},
		"covers nothing":                 {s, []*Approval{nothing}, noon, false, nil, Holds, nil},
		"at enrolment":                   {s, []*Approval{enrolled}, noon.AddDate(50, 0, 0), true, enrolled, Holds, nil},
		"lasts longer than any":          {s, []*Approval{long, enrolled}, noon, true, enrolled, Holds, nil},
		"not as at enrolment":            {changed(s, 9), []*Approval{enrolled}, noon, false, enrolled, Holds, []int{9}},
	} {
		for range 2 { // the order does not count
			v := Judge(c.state, c.approvals, c.at)
			var registers []int
			for _, d := range v.Differences {
				registers = append(registers, d.Register)
				if d.Class != measure.ClassOf(d.Register, 13) {
					t.Errorf("%s: register %d is of class %v", name, d.Register, d.Class)
				}
			}
			if v.Approved != c.approved || v.Standing != c.standing || !slices.Equal(registers, c.registers) {
				t.Errorf("%s: got %+v", name, v)
			}
			if c.by != v.Approval {
				t.Errorf("%s: got %+v, want %+v", name, v.Approval, c.by)
			}
			slices.Reverse(c.approvals)
		}
	}
}

// A state that lacks a register, or has none, is not approved.
func TestJudgeMissingRegisters(t *testing.T) {
	a := approve(t, newKey(t), newState(), terms())
	s := changed(newState())
	delete(s.Registers, 4)
	if v := Judge(s, []*Approval{a}, noon); v.Approved || len(v.Differences) != 1 || v.Differences[0].Register != 4 {
		t.Errorf("got %+v", v)
	}
	if v := Judge(State{Kiosk: "k3"}, []*Approval{a}, noon); v.Approved || len(v.Differences) != 14 {
		t.Errorf("got %+v", v)
	}
	if v := Judge(State{}, []*Approval{a}, noon); v.Approved || v.Approval != nil {
		t.Errorf("got %+v", v)
	}
}

func TestVerdictText(t *testing.T) {
	key, s := newKey(t), newState()
	a := approve(t, key, s, terms())
	update := s.With(list("/usr/bin/kiosk=1.1", "/etc/sekisho/kiosk.toml=a", "/usr/lib/sekisho/new=n"))
	moved := s.With(list("/etc/sekisho/kiosk.toml=a", "/usr/bin/kiosk=1.0", "/usr/lib/systemd/system/kiosk.service=b"))
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("/opt/%02d=x", i))
	}
	many := s.With(list(names...))
	on12 := s
	on12.Software, on12.Events = 12, &measure.List{Register: 12}
	last := fmt.Sprintf("Approval %s by 1234, 2026-11-22 to 2027-11-22", a.ID())
	lastJa := fmt.Sprintf("承認 %s（担当者 1234、2026-11-22 から 2027-11-22 まで）", a.ID())
	year := noon.AddDate(1, 0, 0)
	for name, c := range map[string]struct {
		verdict Verdict
		en, ja  []string
	}{
		"approved": {Judge(s, []*Approval{a}, noon),
			[]string{"This state is approved.", last},
			[]string{"この状態は承認されています。", lastJa}},
		"never approved": {Judge(s, nil, noon),
			[]string{"IT has not approved a state of this kiosk yet."},
			[]string{"このキオスクの状態は、まだ承認されていません。"}},
		"expired": {Judge(s, []*Approval{a}, year),
			[]string{"Nothing changed, but the approval ended on 2027-11-22.", last + ", which has ended"},
			[]string{"変更はありませんが、承認の期限（2027-11-22）が過ぎています。", lastJa + "：期限切れ"}},
		"not begun": {Judge(s, []*Approval{a}, noon.Add(-1)),
			[]string{"Nothing changed, but the approval begins only on 2026-11-22.", last + ", which has not begun"},
			[]string{"変更はありませんが、承認の開始日（2026-11-22）の前です。", lastJa + "：開始前"}},
		"much": {Judge(changed(update, 14, 0, 7, 9), []*Approval{a}, year),
			[]string{"What changed: the firmware, Secure Boot, the system, Sekisho itself.",
				"the firmware: firmware (register 0)",
				"Secure Boot: Secure Boot (register 7)",
				"the system: kernel and initrd (GRUB) (register 9)",
				"Sekisho itself: /usr/bin/kiosk is different",
				"Sekisho itself: /usr/lib/sekisho/new is new",
				"Sekisho itself: /usr/lib/systemd/system/kiosk.service is missing",
				"Secure Boot: the owner's own Secure Boot keys (MOK) (register 14)",
				last + ", which has ended"},
			[]string{"変更箇所：ファームウェア、セキュアブート、システム、Sekisho本体",
				"ファームウェア：ファームウェア（レジスタ0）",
				"セキュアブート：セキュアブート（レジスタ7）",
				"システム：カーネルとinitrd（GRUB）（レジスタ9）",
				"Sekisho本体：/usr/bin/kiosk が変更されています",
				"Sekisho本体：/usr/lib/sekisho/new が追加されています",
				"Sekisho本体：/usr/lib/systemd/system/kiosk.service がありません",
				"セキュアブート：セキュアブートの追加の鍵（MOK）（レジスタ14）",
				lastJa + "：期限切れ"}},
		"moved, since enrolment": {Judge(moved, []*Approval{AtEnrolment(s)}, noon),
			[]string{"What changed: Sekisho itself.", "Sekisho itself: /usr/bin/kiosk has another place in the order", "Compared with the state at enrolment"},
			[]string{"変更箇所：Sekisho本体", "Sekisho本体：/usr/bin/kiosk の順序が変わっています", "登録時の状態との比較"}},
		"unexplained": {Judge(changed(s, 13), []*Approval{a}, noon),
			[]string{"What changed: Sekisho itself.", "Sekisho itself: which file is not known", last},
			[]string{"変更箇所：Sekisho本体", "Sekisho本体：どのファイルかは分かりません", lastJa}},
		"another software register": {Judge(changed(on12, 13), []*Approval{a}, noon),
			[]string{"What changed: the system.", "the system: of this installation (register 13)", last},
			[]string{"変更箇所：システム", "システム：この環境で使われているもの（レジスタ13）", lastJa}},
	} {
		if got, want := c.verdict.Text("en"), strings.Join(c.en, "\n"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
		if got, want := c.verdict.Text("ja"), strings.Join(c.ja, "\n"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
	lines := strings.Split(Judge(many, []*Approval{a}, noon).Text("en"), "\n")
	if len(lines) != 1+maxFiles+1+1 || lines[1+maxFiles] != "Sekisho itself: 15 more" {
		t.Errorf("many files: %q", lines)
	}
}
