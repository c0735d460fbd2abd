package console

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"sekisho/assets"
	"sekisho/transfer"
)

// Words that mean something else in a hospital: a laboratory test, moving a
// patient, identifying a patient.
var forbidden = []string{"検査", "搬送", "本人確認"}

func TestEveryReasonHasItsTexts(t *testing.T) {
	var raw map[string]map[string]string
	if err := toml.Unmarshal(assets.Reasons, &raw); err != nil {
		t.Fatal(err)
	}
	if len(raw) != len(transfer.Reasons) {
		t.Errorf("%d reasons have texts, there are %d", len(raw), len(transfer.Reasons))
	}
	for name := range raw {
		if !slices.Contains(transfer.Reasons, transfer.Reason(name)) {
			t.Errorf("texts of %q, which is no reason", name)
		}
	}
	ideograph := regexp.MustCompile(`[\p{Han}\p{Hiragana}\p{Katakana}]`)
	for _, r := range transfer.Reasons {
		keys := raw[string(r)]
		if len(keys) != 4 {
			t.Errorf("%s has %d texts", r, len(keys))
		}
		for key, text := range keys {
			japanese := strings.HasPrefix(key, "ja")
			// A touchscreen shows one sentence or two, from two metres.
			stops, longest := []string{"."}, 100
			if japanese {
				stops, longest = []string{"。"}, 60
			}
			if !slices.ContainsFunc(stops, func(s string) bool { return strings.HasSuffix(text, s) }) {
				t.Errorf("%s.%s has no full stop: %q", r, key, text)
			}
			if n := utf8.RuneCountInString(text); n == 0 || n > longest {
				t.Errorf("%s.%s has %d characters, at most %d: %q", r, key, n, longest, text)
			}
			if japanese != ideograph.MatchString(text) {
				t.Errorf("%s.%s is in the other language: %q", r, key, text)
			}
			if text != strings.TrimSpace(text) || strings.Contains(text, "  ") || text != Visible(text) {
				t.Errorf("%s.%s holds what does not show: %q", r, key, text)
			}
			for _, word := range forbidden {
				if strings.Contains(text, word) {
					t.Errorf("%s.%s uses %s: %q", r, key, word, text)
				}
			}
		}
	}
}

func TestTextOf(t *testing.T) {
	en, ja := TextOf(transfer.DriveFull, "en"), TextOf(transfer.DriveFull, "ja")
	if en.What != "There is not enough room on the drive." || ja.What != "媒体の空き容量が足りません。" || en.Do == "" || ja.Do == "" || en.Do == ja.Do {
		t.Errorf("%+v\n%+v", en, ja)
	}
	// Without a text of its own a reason would end in silence.
	for _, r := range transfer.Reasons {
		for _, lang := range []string{"en", "ja"} {
			if text := TextOf(r, lang); text.What == "" || text.Do == "" {
				t.Errorf("%s says nothing in %s", r, lang)
			}
		}
	}
}

func TestLanguageOfTheEnvironment(t *testing.T) {
	for _, c := range []struct{ all, messages, lang, want string }{
		{"", "", "", "en"},
		{"", "", "ja_JP.UTF-8", "ja"},
		{"", "ja_JP.UTF-8", "en_US.UTF-8", "ja"},
		{"C", "ja_JP.UTF-8", "ja_JP.UTF-8", "en"},
		{"", "", "de_DE.UTF-8", "en"},
	} {
		t.Setenv("LC_ALL", c.all)
		t.Setenv("LC_MESSAGES", c.messages)
		t.Setenv("LANG", c.lang)
		if got := New(nil, nil, Language()).Lang; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
