//go:build !cgo

package scan

import (
	"errors"
	"time"
)

const libraryVersion = "none"

var errNoYARA = errors.New("this build has no YARA: it was made without cgo and cannot scan")

type compiledRules struct{}

func compileRules([]rule) (*compiledRules, error) { return nil, errNoYARA }

func (*compiledRules) scanMemory([]byte, bool, time.Duration) ([]string, error) {
	return nil, errNoYARA
}

func (*compiledRules) scanWindows(*windows, bool, time.Duration) ([]string, error) {
	return nil, errNoYARA
}
