package canonical

import (
	"bytes"
	"errors"
	"testing"
)

type document struct {
	Name string `json:"name"`
	Data []byte `json:"data,omitempty"`
	Next *int   `json:"next,omitempty"`
}

func TestOnlyOneForm(t *testing.T) {
	good, err := Marshal(document{Name: "a<b", Data: []byte("xy")})
	if err != nil || string(good) != `{"name":"a\u003cb","data":"eHk="}`+"\n" {
		t.Fatalf("%q, %v", good, err)
	}
	var d document
	if err := Parse(good, &d, len(good)); err != nil || d.Name != "a<b" || string(d.Data) != "xy" {
		t.Fatalf("%+v, %v", d, err)
	}
	for name, bad := range map[string]string{
		"another case":      `{"Name":"a"}` + "\n",
		"a key twice":       `{"name":"b","name":"a"}` + "\n",
		"an unknown key":    `{"name":"a","more":1}` + "\n",
		"another order":     `{"data":"eHk=","name":"a"}` + "\n",
		"white space":       `{"name": "a"}` + "\n",
		"no line feed":      `{"name":"a"}`,
		"two line feeds":    `{"name":"a"}` + "\n\n",
		"not escaped":       `{"name":"a<b"}` + "\n",
		"escaped for fun":   `{"name":"\u0061"}` + "\n",
		"an empty value":    `{"name":"a","data":""}` + "\n",
		"null":              `{"name":"a","next":null}` + "\n",
		"base64 in two":     `{"name":"a","data":"eH\nk="}` + "\n",
		"not UTF-8":         "{\"name\":\"\xff\"}\n",
		"a key left out":    `{}` + "\n",
		"bytes after it":    `{"name":"a"}` + "\n{}",
		"nothing":           "",
		"another value":     `["a"]` + "\n",
		"a number for text": `{"name":1}` + "\n",
	} {
		var d document
		if err := Parse([]byte(bad), &d, 100); err == nil {
			t.Errorf("%s: taken as %+v", name, d)
		}
	}
	if err := Parse([]byte(`{"Name":"a"}`+"\n"), &d, 100); !errors.Is(err, ErrForm) {
		t.Errorf("another case: %v", err)
	}
	if err := Parse(good, &d, len(good)-1); err == nil || errors.Is(err, ErrForm) {
		t.Errorf("too long: %v", err)
	}
	if _, err := Marshal(func() {}); err == nil {
		t.Error("a function was marshalled")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"name":"a","data":"eHk=","next":3}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d document
		if Parse(data, &d, 1<<10) != nil {
			return
		}
		if again, err := Marshal(d); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%q came out as %q, %v", data, again, err)
		}
	})
}
