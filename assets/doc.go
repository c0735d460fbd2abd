// Package assets holds what the programs carry inside them: rules, fonts, icons
// and texts. It embeds; it decides nothing.
package assets
