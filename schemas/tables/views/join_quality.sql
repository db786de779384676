-- How steps came to their timelines.
SELECT
  join_method AS method,
  join_exact AS exact,
  layer,
  COUNT(*) AS steps,
  ROUND(AVG(join_confidence), 3) AS mean_confidence,
  MIN(join_confidence) AS min_confidence,
  SUM(CASE WHEN join_candidates > 1 THEN 1 ELSE 0 END) AS contested
FROM {{from "steps_current"}}
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
