package console

import (
	"sync"

	"github.com/pelletier/go-toml/v2"

	"sekisho/assets"
	"sekisho/transfer"
)

// Text is what a person reads for a reason.
type Text struct {
	What string // happened
	Do   string // next
}

type catalogue map[transfer.Reason]struct {
	En   string `toml:"en"`
	EnDo string `toml:"en_do"`
	Ja   string `toml:"ja"`
	JaDo string `toml:"ja_do"`
}

var texts = sync.OnceValue(func() catalogue {
	c := make(catalogue)
	if err := toml.Unmarshal(assets.Reasons, &c); err != nil {
		panic("the embedded catalogue: " + err.Error()) // a test reads it
	}
	return c
})

// TextOf returns the text of a reason in "ja", or else in English.
func TextOf(r transfer.Reason, lang string) Text {
	t := texts()[r]
	if lang == "ja" {
		return Text{t.Ja, t.JaDo}
	}
	return Text{t.En, t.EnDo}
}
