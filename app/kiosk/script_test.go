package main

import (
	"testing"

	"sekisho/app/internal/script"
)

func TestMain(m *testing.M) { script.Main(m, "kiosk", main) }

func TestScripts(t *testing.T) { script.Run(t, "gate") }
