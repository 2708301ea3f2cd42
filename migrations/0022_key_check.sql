-- A word that was encrypted with the instances' secret key: whoever cannot read it must not attend to calls beside them.
CREATE TABLE key_check (
    the_row boolean PRIMARY KEY DEFAULT true CHECK (the_row),
    word text NOT NULL
);
