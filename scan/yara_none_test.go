//go:build !cgo

package scan

import (
	"strings"
	"testing"

	"sekisho/assets"
)

func TestWithoutYARA(t *testing.T) {
	s, err := New(t.Context(), Config{Clamd: ClamdConfig{Private: true, Daemons: 1}, Builtin: assets.Rules, Log: quiet()})
	if err == nil || s != nil || !strings.Contains(err.Error(), "this build has no YARA") {
		t.Errorf("got %v", err)
	}
}
