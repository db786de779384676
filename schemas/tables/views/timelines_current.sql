-- Requests, each at its last revision.
SELECT *
FROM {{from "timelines"}}
WHERE {{recent "date"}}
QUALIFY ROW_NUMBER() OVER (PARTITION BY timeline_id ORDER BY revision DESC, update DESC) = 1
  AND superseded_by IS NULL
