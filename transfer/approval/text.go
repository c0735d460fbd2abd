package approval

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sekisho/transfer/measure"
)

// maxFiles is how many changed files Text names; the rest it counts.
const maxFiles = 8

// words are what Text is made of, in one language.
type words struct {
	approved, none                          string
	changed, expired, notYet                string // first lines; changed with what has
	join                                    string
	register, file                          string // further lines: class and name; class and file
	unnamed                                 string // the name of a register that has none
	unknownFile, moreFiles                  string
	added, removed, altered, moved          string // of a file
	approval, atEnrolment, wasExpired, wait string // the last line
	class                                   func(measure.Class) string
	name                                    func(int) string
}

var (
	english = words{
		approved: "This state is approved.", none: "IT has not approved a state of this kiosk yet.",
		changed: "What changed: %s.", join: ", ",
		expired: "Nothing changed, but the approval ended on %s.", notYet: "Nothing changed, but the approval begins only on %s.",
		register: "%s: %s (register %d)", file: "%s: %s", unnamed: "of this installation",
		unknownFile: "which file is not known", moreFiles: "%d more",
		added: "%s is new", removed: "%s is missing", altered: "%s is different", moved: "%s has another place in the order",
		approval: "Approval %s by %s, %s to %s", wasExpired: ", which has ended", wait: ", which has not begun",
		atEnrolment: "Compared with the state at enrolment",
		class:       measure.Class.String, name: measure.RegisterName,
	}
	japanese = words{
		approved: "この状態は承認されています。", none: "このキオスクの状態は、まだ承認されていません。",
		changed: "変更箇所：%s", join: "、",
		expired: "変更はありませんが、承認の期限（%s）が過ぎています。", notYet: "変更はありませんが、承認の開始日（%s）の前です。",
		register: "%s：%s（レジスタ%d）", file: "%s：%s", unnamed: "この環境で使われているもの",
		unknownFile: "どのファイルかは分かりません", moreFiles: "ほか%d件",
		added: "%s が追加されています", removed: "%s がありません", altered: "%s が変更されています", moved: "%s の順序が変わっています",
		approval: "承認 %s（担当者 %s、%s から %s まで）", wasExpired: "：期限切れ", wait: "：開始前",
		atEnrolment: "登録時の状態との比較",
		class:       measure.Class.Ja, name: measure.RegisterNameJa,
	}
)

// Text says the verdict in plain words, in English or, for "ja", in Japanese:
// short lines without a last line feed. The first says what changed and has
// neither hash nor number; then come registers and files, and last the approval
// that was compared with. Names of files are as they were measured.
func (v Verdict) Text(lang string) string {
	w := &english
	if lang == "ja" {
		w = &japanese
	}
	lines := []string{v.first(w)}
	for _, d := range v.Differences {
		lines = append(lines, d.lines(w)...)
	}
	if v.Approval != nil {
		lines = append(lines, v.last(w))
	}
	return strings.Join(lines, "\n")
}

func (v Verdict) first(w *words) string {
	switch {
	case v.Approved:
		return w.approved
	case v.Approval == nil:
		return w.none
	case len(v.Differences) > 0:
		var classes []measure.Class
		for _, d := range v.Differences {
			classes = append(classes, d.Class)
		}
		slices.Sort(classes)
		var names []string
		for _, c := range slices.Compact(classes) {
			names = append(names, w.class(c))
		}
		return fmt.Sprintf(w.changed, strings.Join(names, w.join))
	case v.Standing == NotYet:
		return fmt.Sprintf(w.notYet, day(v.Approval.From))
	}
	return fmt.Sprintf(w.expired, v.Approval.LastDay())
}

func (d Difference) lines(w *words) []string {
	class := w.class(d.Class)
	if d.Class != measure.Software {
		name := w.name(d.Register)
		if d.Register == measure.SoftwareRegister { // which here is not Sekisho's
			name = w.unnamed
		}
		return []string{fmt.Sprintf(w.register, class, name, d.Register)}
	}
	if len(d.Files) == 0 {
		return []string{fmt.Sprintf(w.file, class, w.unknownFile)}
	}
	var lines []string
	for i, c := range d.Files {
		if i == maxFiles {
			lines = append(lines, fmt.Sprintf(w.file, class, fmt.Sprintf(w.moreFiles, len(d.Files)-i)))
			break
		}
		lines = append(lines, fmt.Sprintf(w.file, class, w.change(c)))
	}
	return lines
}

func (w *words) change(c measure.Change) string {
	switch c.Kind {
	case measure.Added:
		return fmt.Sprintf(w.added, c.Name)
	case measure.Removed:
		return fmt.Sprintf(w.removed, c.Name)
	case measure.Moved:
		return fmt.Sprintf(w.moved, c.Name)
	}
	return fmt.Sprintf(w.altered, c.Name)
}

func (v Verdict) last(w *words) string {
	a := v.Approval
	if a.Until.IsZero() {
		return w.atEnrolment
	}
	line := fmt.Sprintf(w.approval, a.ID(), a.By, day(a.From), a.LastDay())
	switch v.Standing {
	case Expired:
		line += w.wasExpired
	case NotYet:
		line += w.wait
	}
	return line
}

// day is the date here, where the reader is.
func day(t time.Time) string { return t.Local().Format("2006-01-02") }
