package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // registers "duckdb"

	"github.com/sennit-io/sennit/schemas/tables"
)

var duckTypes = [...]string{
	tables.String: "VARCHAR", tables.Integer: "BIGINT", tables.Float: "DOUBLE", tables.Bool: "BOOLEAN",
	tables.Timestamp: "TIMESTAMPTZ", tables.Date: "DATE", tables.JSON: "JSON",
}

func duckType(c *tables.Column) string {
	if c.Repeated {
		return duckTypes[c.Type] + "[]"
	}
	return duckTypes[c.Type]
}

// openTables opens a database in memory whose tables are the files in a folder.
func openTables(ctx context.Context, dir string) (*sql.DB, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open tables: %w; write some with 'sennit replay --sink parquet:%s PATH...'", err, dir)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	db.SetMaxOpenConns(1) // a setting is one of a connection
	statements := []string{"SET TimeZone = 'UTC'"}
	for _, t := range tables.All {
		statements = append(statements, tableOf(t, dir))
	}
	for _, v := range tables.Views {
		statements = append(statements, v.Create(tables.DuckDB, tables.Options{}))
	}
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return nil, errors.Join(fmt.Errorf("open tables in %s: %w", dir, err), db.Close())
		}
	}
	return db, nil
}

// tableOf makes a view of a table's files, with all of its columns: an older file
// has fewer, and a table without a file has no rows.
func tableOf(t *tables.Table, dir string) string {
	typed := make([]string, len(t.Columns))
	names := make([]string, len(t.Columns))
	for i := range t.Columns {
		names[i] = t.Columns[i].Name
		typed[i] = fmt.Sprintf("CAST(NULL AS %s) AS %s", duckType(&t.Columns[i]), names[i])
	}
	none := "SELECT " + strings.Join(typed, ", ") + " WHERE FALSE"
	pattern := filepath.Join(dir, t.Name, tables.Day+"=*", "part-*.parquet")
	if files, _ := filepath.Glob(pattern); len(files) == 0 {
		return fmt.Sprintf("CREATE VIEW %s AS %s", t.Name, none)
	}
	return fmt.Sprintf("CREATE VIEW %s AS SELECT %s FROM (%s UNION ALL BY NAME SELECT * FROM read_parquet(%s, hive_partitioning = true, union_by_name = true))",
		t.Name, strings.Join(names, ", "), none, literal(pattern))
}

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
