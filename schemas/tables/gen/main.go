// Gen writes the SQL of the tables and views for BigQuery: gen DIR.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sennit-io/sennit/schemas/tables"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen DIR")
		os.Exit(2)
	}
	made := tables.Scripts(tables.Options{Dataset: tables.Placeholder})
	for name, sql := range made {
		if err := os.WriteFile(filepath.Join(os.Args[1], name), []byte(sql), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "write SQL:", err)
			os.Exit(1)
		}
	}
}
