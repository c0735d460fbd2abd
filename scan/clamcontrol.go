package scan

import (
	"errors"
	"fmt"
	"time"

	clamd "github.com/dutchcoders/go-clamd"
)

// controlLimit bounds a control command.
const controlLimit = 5 * time.Second

// go-clamd has no deadlines and panics when a daemon goes away, so it asks for
// words only, never for verdicts, and from behind control. Of its commands RELOAD
// and STATS have no use here: a daemon keeps what it was proven with for as long
// as it lives, and new definitions mean a new Scanner.

// clamdPing returns nil when a daemon answers on socket.
func clamdPing(socket string) error {
	_, err := control(func() (string, error) { return "", clamd.NewClamd(socket).Ping() })
	return err
}

// clamdVersion returns what the daemon says it is, such as "ClamAV 1.4.6" or,
// with official definitions, "ClamAV 1.4.6/27000/Sat Nov 22 04:20:00 2025".
func clamdVersion(socket string) (string, error) {
	return control(func() (string, error) {
		results, err := clamd.NewClamd(socket).Version()
		if err != nil {
			return "", err
		}
		var first string
		for r := range results { // to the end, or its reader stays for ever
			if first == "" {
				first = r.Raw
			}
		}
		if first == "" {
			return "", errors.New("no version")
		}
		return clean(first, maxName), nil
	})
}

// control runs ask aside. When the daemon hangs, the goroutine lives until the
// daemon's end.
func control(ask func() (string, error)) (string, error) {
	type outcome struct {
		text string
		err  error
	}
	ch := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				o = outcome{err: fmt.Errorf("it went away: %v", p)}
			}
			ch <- o
		}()
		o.text, o.err = ask()
	}()
	select {
	case o := <-ch:
		if o.err != nil {
			return "", fmt.Errorf("asking clamd: %w", o.err)
		}
		return o.text, nil
	case <-time.After(controlLimit):
		return "", errors.New("asking clamd: no answer")
	}
}
