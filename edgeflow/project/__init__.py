"""What a user's project holds: the recipe, the functions it names, and the files that a build leaves."""
