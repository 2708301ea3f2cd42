-- What tells whether the rows of these enterprises ($1) are still those that were read: any change makes another version of a row.
SELECT number, xmin::text || ctid::text AS mark FROM public.enterprises WHERE number = ANY ($1::text[])
